// How one side of a channel sleeps and the other one wakes it, with a system call only if it does sleep.
//
// A Doorbell is the sleeper's, and for one thread; a Ringer is the other side's, and for any thread. Between them are a
// word in shared memory, which says what the sleeper waits for, and an eventfd that it polls. A ring takes the word
// back to 0, so that one sleep is rung for once. Why no wake-up is lost: channel/PROTOCOL.md.
//
// The sleeper polls the other process too: a bell that a dead process did not get to ring is made up for by its death.
// Pinned by native/tests/test_doorbell.cpp.
#pragma once

#include <array>
#include <cstdint>

#include "channel/descriptor.hpp"
#include "sync/atomic.hpp"

namespace weft::channel {

static_assert(sync::is_address_free<uint32_t>);

// What the sleeper waits for, as bits; 0: it is awake.
struct alignas(64) BellWord {
  sync::Atomic<uint32_t> waits_for{0};
};

inline constexpr uint32_t kBellMessage = 1;
inline constexpr uint32_t kBellRoom = 2;
inline constexpr uint32_t kBellWake = 4;  // somebody in the sleeper's own process wants it

class Ringer {
 public:
  Ringer(BellWord& word, int event) : word_(&word), event_(event) {}

  bool is_waited_for(uint32_t reason) const { return (word_->waits_for.load(sync::seq_cst) & reason) != 0; }

  // After what the sleeper waits for has been stored with seq_cst. True: it slept, or was about to, and is woken.
  bool ring(uint32_t reason) {
    if (!is_waited_for(reason)) return false;
    if (word_->waits_for.exchange(0, sync::seq_cst) == 0) return false;  // somebody else rings
    signal_event(event_);
    return true;
  }

 private:
  BellWord* word_;
  int event_;
};

// How to see that the other process is gone. Either may be missing (-1), but not both.
struct Watched {
  int process = -1;  // a pidfd: readable when it has ended
  int socket = -1;   // hung up when nobody has its other end any more
};

class Doorbell {
 public:
  enum class Slept { rung, peer_gone, timed_out, interrupted };

  Doorbell(BellWord& word, int event) : word_(&word), event_(event) {}

  // Between announce() and sleep() the caller looks once more for what it waits for, with seq_cst loads.
  void announce(uint32_t reasons) { word_->waits_for.store(reasons | kBellWake, sync::seq_cst); }
  // Awake again. A ring that is on its way ends the next sleep for nothing.
  void withdraw() { word_->waits_for.store(0, sync::seq_cst); }

  // `rung` may be for nothing: look again. A death is told only if the bell did not ring as well.
  Slept sleep(const Watched& watched, sync::Nanos deadline);

 private:
  BellWord* word_;
  int event_;
};

}  // namespace weft::channel
