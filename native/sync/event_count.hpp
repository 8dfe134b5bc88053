// The event count: how idle workers fall asleep and how new work wakes exactly as many as it needs.
//
// One word counts two kinds of idle worker: `searching` (awake, looking for work) and `sleeping` (asleep or
// about to be). A producer that has published work calls notify_one(): it costs one load while somebody is
// searching or nobody sleeps. The protocol, and why no wake-up is lost, is in scheduler/PROTOCOL.md.
#pragma once

#include <cassert>

#include "sync/parking.hpp"

namespace weft::sync {

class EventCount {
 public:
  // Half of what a count holds, since a worker that leaves is counted a little longer than it counts as alive.
  static constexpr uint32_t kMostIdlers = 0x7fff;

  enum class Notified {
    not_needed,     // somebody is searching and will find the work
    woke,           // one sleeper is on its way, and counts as searching from now on
    nobody_sleeps,  // every worker is busy: the caller may want to start another
  };

  struct Counts {
    uint32_t searching;
    uint32_t sleeping;
  };

  Counts counts() const { return unpack(state_.load(seq_cst)); }

  void begin_search() { state_.fetch_add(kSearching, seq_cst); }

  // True if this was the last searcher: it must then look whether more work waits, and notify for it.
  [[nodiscard]] bool end_search() {
    const Counts before = unpack(state_.fetch_sub(kSearching, seq_cst));
    assert(before.searching > 0);
    return before.searching == 1;
  }

  // searching -> sleeping. After it the caller looks at every queue once more, then calls cancel_sleep() or sleep().
  void prepare_sleep() {
    [[maybe_unused]] const uint32_t before = state_.fetch_add(kSleeping - kSearching, seq_cst);
    assert(unpack(before).searching > 0);
  }

  // Back to searching without having slept.
  void cancel_sleep() {
    uint32_t state = state_.load(seq_cst);
    while (unpack(state).sleeping > 0) {
      if (state_.compare_exchange_weak(state, state - kSleeping + kSearching, seq_cst, seq_cst)) return;
    }
    // Every announced sleeper, and so this one too, has been notified: a permit is there or on its way.
    sleep();
  }

  // Sleeps until notified; returns as a searcher.
  void sleep() {
    for (;;) {
      uint32_t permits = permits_.load(acquire);
      while (permits > 0) {
        if (permits_.compare_exchange_weak(permits, permits - 1, acq_rel, acquire)) return;
      }
      park(permits_, 0, kForever);
    }
  }

  Notified notify_one() {
    uint32_t state = state_.load(seq_cst);
    for (;;) {
      const Counts counts = unpack(state);
      if (counts.searching > 0) return Notified::not_needed;
      if (counts.sleeping == 0) return Notified::nobody_sleeps;
      if (state_.compare_exchange_weak(state, state - kSleeping + kSearching, seq_cst, seq_cst)) break;
    }
    permits_.fetch_add(1, release);
    unpark_one(permits_);
    return Notified::woke;
  }

  void notify_all() {
    uint32_t state = state_.load(seq_cst);
    uint32_t sleeping;
    do {
      sleeping = unpack(state).sleeping;
      if (sleeping == 0) return;
    } while (!state_.compare_exchange_weak(state, state - sleeping * kSleeping + sleeping * kSearching, seq_cst, seq_cst));
    permits_.fetch_add(sleeping, release);
    unpark_all(permits_);
  }

 private:
  static constexpr uint32_t kSearching = 1;
  static constexpr uint32_t kSleeping = 1u << 16;

  static constexpr Counts unpack(uint32_t state) { return {state & 0xffffu, state >> 16}; }

  alignas(64) Atomic<uint32_t> state_{0};
  alignas(64) ParkWord permits_{0};
};

}  // namespace weft::sync
