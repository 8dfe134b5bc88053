// A piece of anonymous memory that two processes share: no name anywhere, so nothing is left when both are gone.
//
// All of it is there once it is made: a machine without room says so here, not with SIGBUS at some later touch; and it
// is sealed, so that the other side cannot take any of it away. Only Linux has it; elsewhere create() throws ENOTSUP.
//
// The one that made it hands out the descriptor; the other one opens it. The mapping stays when the descriptor is
// closed.
// Pinned by native/tests/test_segment.cpp.
#pragma once

#include <cstddef>
#include <span>

#include "channel/descriptor.hpp"

namespace weft::channel {

class Segment {
 public:
  Segment() = default;
  // Zeros. Throws std::system_error: ENOSPC, ENOMEM, EMFILE, EFBIG (a limit on file sizes), EPERM or ENOSYS
  // (forbidden).
  static Segment create(size_t size);
  // What somebody else made: all of it. Throws std::system_error; EINVAL if it is smaller than `least` or not sealed.
  static Segment open(Descriptor descriptor, size_t least);

  ~Segment() { unmap(); }
  Segment(Segment&& other) noexcept
      : descriptor_(std::move(other.descriptor_)), bytes_(std::exchange(other.bytes_, {})) {}
  Segment& operator=(Segment&& other) noexcept {
    if (this != &other) {
      unmap();
      descriptor_ = std::move(other.descriptor_);
      bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
  }

  std::span<std::byte> bytes() const { return bytes_; }
  int descriptor() const { return descriptor_.get(); }
  [[nodiscard]] Descriptor take_descriptor() { return std::move(descriptor_); }

 private:
  Segment(Descriptor descriptor, std::span<std::byte> bytes) : descriptor_(std::move(descriptor)), bytes_(bytes) {}
  static Segment map(Descriptor descriptor, size_t size);
  void unmap();

  Descriptor descriptor_;
  std::span<std::byte> bytes_;
};

}  // namespace weft::channel
