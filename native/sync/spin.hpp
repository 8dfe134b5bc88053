// Spinning before sleeping, for as long as it has lately been worth it.
//
// A spin saves a sleep and a wake-up when what is waited for comes within microseconds, and burns a core when it does
// not. The budget follows what the last spins brought. Where there are more runnable threads than cores a spinner takes
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
    const Nanos start = now();
    Nanos last = start;
    do {
      for (int i = 0; i < 16; ++i) {
        if (done()) {
          budget_ = std::min(budget_ * 2, kMost);
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
    } while (last - start < budget_);
    budget_ = std::max(budget_ / 2, kLeast);
    return false;
  }

 private:
  static constexpr Nanos kLeast = 1 * kMicrosecond;
  static constexpr Nanos kMost = 40 * kMicrosecond;
  static constexpr Nanos kPreempted = 100 * kMicrosecond;  // a turn of the loop takes one
  static constexpr int kSitOut = 64;

  Nanos budget_ = 10 * kMicrosecond;
  int sitting_out_ = 0;
};

}  // namespace weft::sync
