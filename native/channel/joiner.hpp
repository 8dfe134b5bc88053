// Joins the parts of a message that was too large for the ring, into a buffer on the heap.
//
// The first part begins with the size of the whole. A size that is only claimed takes no memory: the buffer grows with
// what comes. Pinned by native/tests/test_channel.cpp.
#pragma once

#include <cstring>
#include <span>

#include "channel/channel.hpp"
#include "channel/heap_buffer.hpp"
#include "channel/ring.hpp"

namespace weft::channel {

class Joiner {
 public:
  static constexpr size_t kPrefix = sizeof(uint64_t);

  bool is_joining() const { return total_ != 0; }
  bool is_complete() const { return total_ != 0 && joined_ == total_; }
  std::span<const std::byte> bytes() const { return {buffer_.data(), joined_}; }

  // The part has been copied when it returns. Throws std::bad_alloc with nothing changed, and Corrupt.
  void add(const RingReader::Frame& frame) {
    std::span<const std::byte> part = frame.bytes;
    uint64_t total = total_;
    if (frame.kind == FrameKind::first) {
      if (is_joining() || part.size() < kPrefix) throw Corrupt("weft: a long message begins within another one");
      std::memcpy(&total, part.data(), kPrefix);
      part = part.subspan(kPrefix);
    }
    if (total == 0 || total > Channel::kMostMessage || part.empty() || part.size() > total - joined_) {
      throw Corrupt("weft: the parts of a long message do not fit together");
    }
    buffer_.grow(joined_ + part.size(), total);
    std::memcpy(buffer_.data() + joined_, part.data(), part.size());
    joined_ += part.size();
    total_ = total;
  }

  void reset() {
    if (buffer_.capacity() > kKept) buffer_.shrink_to_none();
    total_ = 0;
    joined_ = 0;
  }

 private:
  static constexpr size_t kKept = size_t{1} << 20;

  HeapBuffer buffer_;
  uint64_t total_ = 0;   // 0: between messages
  uint64_t joined_ = 0;
};

}  // namespace weft::channel
