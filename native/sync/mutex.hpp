// A mutex of one word, for sections of a few instructions: spins briefly, then parks.
//
// Three states, after Ulrich Drepper, "Futexes Are Tricky" (2011), section 6: free, held, held and somebody
// may be parked. Unlike std::mutex it can be made anew in a forked child by assigning a fresh one.
#pragma once

#include <cassert>

#include "sync/parking.hpp"

namespace weft::sync {

class Mutex {
 public:
  void lock() {
    uint32_t seen = kFree;
    if (state_.compare_exchange_strong(seen, kHeld, acquire, relaxed)) return;
    lock_slow();
  }
  bool try_lock() {
    uint32_t seen = kFree;
    return state_.compare_exchange_strong(seen, kHeld, acquire, relaxed);
  }
  // Whether anybody has it: for assertions.
  bool is_locked() const { return state_.load(relaxed) != kFree; }

  void unlock() {
    assert(is_locked());
    if (state_.exchange(kFree, release) == kContended) unpark_one(state_);
  }

 private:
  static constexpr uint32_t kFree = 0;
  static constexpr uint32_t kHeld = 1;
  static constexpr uint32_t kContended = 2;

  void lock_slow() {
    for (int spins = 0; spins < 64; ++spins) {
      cpu_relax();
      uint32_t seen = kFree;
      if (state_.load(relaxed) == kFree && state_.compare_exchange_strong(seen, kHeld, acquire, relaxed)) return;
    }
    // From here on the word says "contended" whenever we may be parked, so that unlock wakes somebody.
    while (state_.exchange(kContended, acquire) != kFree) park(state_, kContended, kForever);
  }

  ParkWord state_{kFree};
};

class LockGuard {
 public:
  explicit LockGuard(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  ~LockGuard() { mutex_.unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace weft::sync
