// Bytes on the heap that grow without being set to zero first, and without a copy where the allocator can remap.
//
// Grows as what it is for arrives: a length that the other side only claims costs no memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

namespace weft::channel {

class HeapBuffer {
 public:
  HeapBuffer() = default;
  ~HeapBuffer() { std::free(data_); }
  HeapBuffer(const HeapBuffer&) = delete;
  HeapBuffer& operator=(const HeapBuffer&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t capacity() const { return capacity_; }

  // At least `needed` bytes; more, if `expected` in all are to come. Throws std::bad_alloc, and is as it was then.
  void grow(size_t needed, size_t expected) {
    if (needed <= capacity_) return;
    const size_t wanted = std::max(needed, std::min(expected, std::max(2 * capacity_, kLeast)));
    void* grown = std::realloc(data_, wanted);
    if (grown == nullptr) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(grown);
    capacity_ = wanted;
  }

  void shrink_to_none() {
    std::free(std::exchange(data_, nullptr));
    capacity_ = 0;
  }

 private:
  static constexpr size_t kLeast = size_t{1} << 20;

  std::byte* data_ = nullptr;
  size_t capacity_ = 0;
};

}  // namespace weft::channel
