// A team of threads for the tests of the kernels: fresh ones for each loop, which all run through it.
#pragma once

#include "check.hpp"
#include "kernels/loop.hpp"

namespace weft::test {

class Threads final : public kernels::Team {
 public:
  explicit Threads(uint32_t size) : size_(size) {}
  size_t size() const override { return size_; }
  bool run(kernels::Loop& loop) override {
    ++loops;
    if (size_ == 1) {
      loop.take_part();
    } else {
      on_threads(size_, [&](uint32_t) { loop.take_part(); });
    }
    return !loop.stopped();
  }

  uint32_t loops = 0;

 private:
  const uint32_t size_;
};

}  // namespace weft::test
