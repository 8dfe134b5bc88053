// Who works on a loop beside its owner, so that the owner knows when nobody does any more: PROTOCOL.md.
//
// Any thread may enter, however late; the owner closes. The meeting must outlive every thread that may still call enter(),
// the loop only close_and_wait().
#pragma once

#include "kernels/loop.hpp"
#include "sync/parking.hpp"

namespace weft::kernels {

class Meeting {
 public:
  explicit Meeting(Loop& loop) : loop_(loop) {}
  Meeting(const Meeting&) = delete;
  Meeting& operator=(const Meeting&) = delete;

  // The loop, to take part in it until leave(); null once it is closed.
  [[nodiscard]] Loop* enter() {
    uint32_t seen = word_.load(sync::relaxed);
    do {
      if ((seen & kClosed) != 0) return nullptr;
    } while (!word_.compare_exchange_weak(seen, seen + kOne, sync::acquire, sync::relaxed));
    return &loop_;
  }
  void leave() {
    if (word_.fetch_sub(kOne, sync::acq_rel) == (kOne | kClosed)) sync::unpark_all(word_);
  }

  // Returns when nobody is inside, and nobody comes any more. What was written inside is visible then.
  void close_and_wait() {
    uint32_t seen = word_.fetch_or(kClosed, sync::acq_rel) | kClosed;
    for (int i = 0; seen != kClosed && i < kSpins; ++i) {
      sync::cpu_relax();
      seen = word_.load(sync::acquire);
    }
    while (seen != kClosed) {
      (void)sync::park(word_, seen, sync::kForever);
      seen = word_.load(sync::acquire);
    }
  }

 private:
  static constexpr uint32_t kClosed = 1;
  static constexpr uint32_t kOne = 2;
  static constexpr int kSpins = 2000;  // some tens of microseconds: what a helper usually has left to do

  Loop& loop_;
  sync::ParkWord word_{0};
};

}  // namespace weft::kernels
