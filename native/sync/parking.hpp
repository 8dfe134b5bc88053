// Parking: a thread sleeps on the address of a 32-bit word until somebody unparks that address.
//
// park() sleeps only if the word still holds `expected`; the check and the falling asleep are one step, so
// a waker that changes the word first and unparks after it cannot be missed. It may also return for no
// reason: callers look at the word again.
//
// unpark_*() uses the address as a key and never reads through it, so the word may be gone by then.
// Linux: a futex. Elsewhere: a table of mutex and condition variable pairs, hashed by address.
#pragma once

#include "sync/atomic.hpp"
#include "sync/clock.hpp"

namespace weft::sync {

enum class Parked {
  woken,        // unparked, or the word had changed, or for no reason
  timed_out,    // the deadline passed
  interrupted,  // a signal handler ran on this thread
};

using ParkWord = Atomic<uint32_t>;

Parked park(const ParkWord& word, uint32_t expected, Nanos deadline);
void unpark_one(const ParkWord& word);
void unpark_all(const ParkWord& word);

}  // namespace weft::sync
