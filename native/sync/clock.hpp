// Time as nanoseconds of the monotonic clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

namespace weft::sync {

using Nanos = int64_t;

inline constexpr Nanos kForever = std::numeric_limits<Nanos>::max();
inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;

inline Nanos now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// now() + delta, without overflow: a wait of 300 years is a wait for ever.
inline Nanos deadline_after(Nanos delta) {
  const Nanos start = now();
  return delta > kForever - start ? kForever : start + delta;
}

}  // namespace weft::sync
