// Spinning before sleeping, for as long as it has lately been worth it.
//
// A spin saves a sleep and a wake-up when what is waited for comes within microseconds, and burns a core when it does
// not. The budget follows what the last spins brought: all of it after one that was worth it, half after one that was not.
// Two threads that wait for each other in turn both have to spin for either to gain: so every so often one spins for long
// all the same, and finds out whether the other does too. Where there are more runnable threads than cores a spinner takes
// the core from the very thread that it waits for: that shows as a gap in the spinner's own time, and then it sits out.
//
// One budget per thread or worker; not shared.
#pragma once

#include <algorithm>

#include "sync/atomic.hpp"
#include "sync/clock.hpp"

namespace weft::sync {

class SpinBudget {
 public:
  // True as soon as done() is; false when the budget is spent.
  template <class Done>
  bool spin(Done&& done) {
    if (sitting_out_ > 0) {
      --sitting_out_;
      return done();
    }
    const Nanos budget = ++spins_ % kProbe == 0 ? kMost : budget_;
    const Nanos start = now();
    Nanos last = start;
    do {
      for (int i = 0; i < 16; ++i) {
        if (done()) {
          budget_ = kMost;
          return true;
        }
        cpu_relax();
      }
      const Nanos time = now();
      if (time - last > kPreempted) {
        sitting_out_ = kSitOut;
        budget_ = kLeast;
        return done();
      }
      last = time;
    } while (last - start < budget);
    budget_ = std::max(budget_ / 2, kLeast);
    return false;
  }

 private:
  static constexpr Nanos kLeast = 1 * kMicrosecond;
  static constexpr Nanos kMost = 40 * kMicrosecond;
  static constexpr Nanos kPreempted = 100 * kMicrosecond;  // a turn of the loop takes one
  static constexpr int kSitOut = 64;
  static constexpr uint32_t kProbe = 16;

  Nanos budget_ = 10 * kMicrosecond;
  int sitting_out_ = 0;
  uint32_t spins_ = 0;
};

}  // namespace weft::sync
