// A ring of messages in memory that two processes share: one of them writes, the other one reads.
//
// RingWriter and RingReader are two types over the same RingMemory; each belongs to one thread. A message is whole and
// in one piece: where it would wrap, a skip marker fills the rest of the ring. Nothing of a message is to be seen
// before publish(), so a writer that dies leaves nothing half done.
//
// Neither trusts the other side: positions and lengths are read once, checked, and then used from the copy. What cannot
// be is Corrupt; a reader that has said so once says it at every later call. Layout and orders: channel/PROTOCOL.md.
// Pinned by native/tests/test_ring.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "channel/corrupt.hpp"
#include "channel/pieces.hpp"
#include "sync/atomic.hpp"

namespace weft::channel {

static_assert(sync::is_address_free<uint64_t>);

struct RingHeader {
  alignas(64) sync::Atomic<uint64_t> tail{0};  // how much has been published, ever; the writer's
  // Where the reader should be before a sleeping writer is woken; the writer's.
  sync::Atomic<uint64_t> wanted{0};
  alignas(64) sync::Atomic<uint64_t> head{0};  // how much has been released, ever; the reader's
};

// What a writer and its reader both know. `capacity` is a power of two.
struct RingMemory {
  static constexpr size_t kLeast = 256;
  static bool is_capacity(size_t size) { return size >= kLeast && (size & (size - 1)) == 0 && size <= size_t{1} << 31; }

  RingHeader* header;
  std::byte* data;
  uint64_t capacity;
};

enum class FrameKind : uint8_t {
  whole = 1,  // a message
  first = 2,  // a part of a message that is too large for the ring: its size, 8 bytes, then its begin
  more = 3,   // the next part
  skip = 4,   // nothing: the ring goes on at its begin
};

namespace detail {

constexpr uint64_t kFrameAlign = 8;
constexpr uint64_t kFrameHeader = 8;

// length, kind, and 24 bits of the position: what an earlier round has left is no frame of this one.
constexpr uint64_t frame_word(uint64_t position, uint32_t length, FrameKind kind) {
  return uint64_t{length} | uint64_t{static_cast<uint8_t>(kind)} << 32 | (position / kFrameAlign & 0xffffffu) << 40;
}
constexpr uint64_t frame_size(uint64_t length) {
  return kFrameHeader + ((length + kFrameAlign - 1) & ~(kFrameAlign - 1));
}

}  // namespace detail

class RingWriter {
 public:
  explicit RingWriter(RingMemory memory) : memory_(memory) {}

  // The longest message that fits wherever the ring stands.
  size_t most() const { return memory_.capacity / 2 - detail::kFrameHeader; }

  // Whether reserve() would succeed. Throws Corrupt; std::length_error beyond most().
  bool has_room(size_t size);

  // Room for `size` bytes, to be filled and then published; nullptr if there is none now. A second call forgets the
  // first.
  [[nodiscard]] std::byte* reserve(size_t size);
  void publish(FrameKind kind = FrameKind::whole);

  // reserve, copy, publish.
  [[nodiscard]] bool try_write(std::span<const Piece> pieces, FrameKind kind = FrameKind::whole);

  // Says in the ring when to be woken: when there is room for `size` bytes, and half of the ring is free, so that a
  // full ring does not cost a wake-up for each message.
  void want_room(size_t size);

 private:
  uint64_t room_taken_by(size_t size) const;

  const RingMemory memory_;
  uint64_t tail_ = 0;
  uint64_t head_ = 0;      // as last seen
  uint64_t reserved_ = 0;  // bytes, with the skip before them; 0: none
  uint32_t length_ = 0;    // of what is reserved
};

class RingReader {
 public:
  explicit RingReader(RingMemory memory) : memory_(memory) {}

  struct Frame {
    FrameKind kind;  // never skip
    std::span<const std::byte> bytes;
  };

  // The oldest message, in place until it is released; nothing if there is none. Throws Corrupt.
  std::optional<Frame> peek();
  void release();

  // Whether a writer that waits for room has what it said it wants.
  bool writer_has_room() const;

 private:
  [[noreturn]] void corrupt(const char* what);

  const RingMemory memory_;
  uint64_t head_ = 0;
  uint64_t tail_ = 0;    // as last seen
  uint64_t peeked_ = 0;  // bytes to release; 0: nothing was peeked at
  const char* corrupt_ = nullptr;
};

}  // namespace weft::channel
