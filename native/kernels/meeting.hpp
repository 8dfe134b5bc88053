// Who works on a loop beside its owner, so that the owner knows when nobody does any more: PROTOCOL.md.
//
// Any thread may enter, however late, once the owner has opened it; the owner closes. Until it opens, the owner's thread may
// end, and the loop on its stack with it, although helpers have been called. The meeting must outlive every thread that may
// still call enter(), the loop only close_and_wait().
#pragma once

#include "kernels/loop.hpp"
#include "sync/parking.hpp"

namespace weft::kernels {

class Meeting {
 public:
  explicit Meeting(Loop& loop) : loop_(loop) {}
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

  // The owner is about to work, and works until it closes.
  void open() {
    word_.fetch_or(kOpen, sync::release);
    sync::unpark_all(word_);
  }

  // The loop, to take part in it until leave(); null once it is closed, or if it is not opened by the deadline.
  [[nodiscard]] Loop* enter(sync::Nanos deadline) {
    uint32_t seen = word_.load(sync::relaxed);
    for (;;) {
      if ((seen & kClosed) != 0) return nullptr;
      if ((seen & kOpen) == 0) {
        if (sync::now() >= deadline) return nullptr;
        (void)sync::park(word_, seen, deadline);
        seen = word_.load(sync::relaxed);
      } else if (word_.compare_exchange_weak(seen, seen + kOne, sync::acquire, sync::relaxed)) {
        return &loop_;
      }
    }
  }
  void leave() {
    if (word_.fetch_sub(kOne, sync::acq_rel) == (kOne | kOpen | kClosed)) sync::unpark_all(word_);
  }

  // Returns when nobody is inside, and nobody comes any more. What was written inside is visible then.
  void close_and_wait() {
    uint32_t seen = word_.fetch_or(kClosed, sync::acq_rel) | kClosed;
    for (int i = 0; seen != kEnded && i < kSpins; ++i) {
      sync::cpu_relax();
      seen = word_.load(sync::acquire);
    }
    while (seen != kEnded) {
      (void)sync::park(word_, seen, sync::kForever);
      seen = word_.load(sync::acquire);
    }
  }

 private:
  static constexpr uint32_t kClosed = 1;
  static constexpr uint32_t kOpen = 2;
  static constexpr uint32_t kEnded = kOpen | kClosed;
  static constexpr uint32_t kOne = 4;
  static constexpr int kSpins = 2000;  // some tens of microseconds: what a helper usually has left to do

  Loop& loop_;
  sync::ParkWord word_{0};
};

}  // namespace weft::kernels
