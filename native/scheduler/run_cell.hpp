// The run cell: which task a thread is running right now, so that this task and no other can be interrupted.
//
// The runner writes it around each call. Whoever wants to interrupt locks the cell *for a given task*: that
// succeeds only while that task runs there, and the runner cannot leave the task until the cell is unlocked.
// What is done under the lock (posting an exception to the thread, or taking the task away from a thread
// that is stuck) is therefore done to the right task or not at all.
//
// Cells are never freed, only reused: a stale pointer to one is always safe to read, and lock() fails on it.
// States and transitions: PROTOCOL.md.
#pragma once

#include <cstdint>

#include "scheduler/task.hpp"
#include "sync/mutex.hpp"

namespace weft {

class RunCell {
 public:
  // What happened to a task while it ran.
  struct Outcome {
    bool interrupted;  // an exception was posted to the thread for this task
    bool taken;        // somebody settled the task in our place: it is not ours any more
  };

  // What a task that waits for another one, run inside of it, leaves behind in the cell.
  struct Suspended {
    uintptr_t word;
    sync::Nanos deadline;
  };

  static RunCell* obtain();          // from the free list, or new
  static void give_back(RunCell*);   // the thread that used it is done with it
  static void reset_after_fork();    // the one thread of a forked child calls this first

  // --- the thread that runs tasks ---
  void begin(Task& task) {
    // SAFETY: tasks are aligned to 8 bytes at least, so the low three bits of their address are free for flags.
    word_.store(reinterpret_cast<uintptr_t>(&task), sync::seq_cst);
  }
  [[nodiscard]] Outcome end() {
    const uintptr_t word = leave(0);
    return {(word & kPosted) != 0, (word & kTaken) != 0};
  }
  [[nodiscard]] Suspended suspend() {
    const sync::Nanos deadline = deadline_.exchange(sync::kForever, sync::seq_cst);
    return {leave(0), deadline};
  }
  void resume(Suspended suspended) {
    deadline_.store(suspended.deadline, sync::seq_cst);
    word_.store(suspended.word, sync::seq_cst);
  }
  bool interrupt_posted() const { return (word_.load(sync::acquire) & kPosted) != 0; }

  // --- anybody ---
  // True: the cell runs `task`, and goes on doing so until unlock(). Between the two no waiting, no detaching and nothing
  // that may run Python code: the runner may be spinning for the cell, attached. A task that is suspended cannot be
  // locked: leave word of what you wanted first, for the runner to see after resume().
  [[nodiscard]] bool lock(const Task& task) {
    // SAFETY: compared only; tasks are aligned, and the flags are low bits.
    const auto wanted = reinterpret_cast<uintptr_t>(&task);
    uintptr_t seen = word_.load(sync::seq_cst);
    sync::SpinWait wait;
    for (;;) {
      if ((seen & ~kFlags) != wanted || (seen & kTaken) != 0) return false;
      if ((seen & kLocked) != 0) {
        wait.once();
        seen = word_.load(sync::seq_cst);
        continue;
      }
      if (word_.compare_exchange_weak(seen, seen | kLocked, sync::acq_rel, sync::acquire)) return true;
    }
  }
  // The task that runs here, locked; null if none. For the timer, which starts from the cell: it may not be the task
  // whose deadline_ was read before, so read it again.
  [[nodiscard]] Task* lock_any() {
    const uintptr_t seen = word_.load(sync::seq_cst) & ~kFlags;
    // SAFETY: what begin() stored; not followed unless lock() finds it still there.
    auto* task = reinterpret_cast<Task*>(seen);
    return task != nullptr && lock(*task) ? task : nullptr;
  }
  // True: `task` still runs here, although it was taken, and counts as one that an exception was posted for. Only for
  // those whom the runner cannot escape meanwhile: it holds the same GIL when it leaves a task.
  [[nodiscard]] bool post_to_taken(const Task& task) {
    // SAFETY: as in begin(); only the address is looked at, never the task, which may be gone.
    const uintptr_t wanted = reinterpret_cast<uintptr_t>(&task) | kTaken;
    uintptr_t seen = word_.load(sync::seq_cst);
    while ((seen & ~kPosted) == wanted) {
      if (word_.compare_exchange_weak(seen, seen | kPosted, sync::acq_rel, sync::acquire)) return true;
    }
    return false;
  }
  void unlock() { word_.fetch_and(~kLocked, sync::release); }
  void unlock_posted() { word_.store((word_.load(sync::relaxed) | kPosted) & ~kLocked, sync::release); }
  void unlock_taken() { word_.store((word_.load(sync::relaxed) | kTaken) & ~kLocked, sync::release); }

  // Set by the runner before begin(), read by the timer: when the task in here has run for too long.
  sync::Atomic<sync::Nanos> deadline_{sync::kForever};
  // Whether the thread is between Runner::attach and detach. A hint: it is stale as soon as it is read.
  sync::Atomic<bool> attached_{false};
  // Which thread this is, in the embedder's terms; constant while tasks run.
  sync::Atomic<unsigned long> thread_id_{0};
  // The same in the system's terms, and the worker's index (negative: no worker's thread); constant while tasks run.
  sync::Atomic<uint64_t> native_id_{0};
  sync::Atomic<int32_t> worker_{-1};
  // When the task in here began, or before that. Only to be looked at.
  sync::Atomic<sync::Nanos> began_{0};

 private:
  static constexpr uintptr_t kLocked = 1;
  static constexpr uintptr_t kPosted = 2;
  static constexpr uintptr_t kTaken = 4;
  static constexpr uintptr_t kFlags = 7;

  uintptr_t leave(uintptr_t next) {
    uintptr_t seen = word_.load(sync::relaxed);
    sync::SpinWait wait;
    for (;;) {
      if ((seen & kLocked) != 0) {  // somebody is about to interrupt: a few instructions
        wait.once();
        seen = word_.load(sync::acquire);
        continue;
      }
      if (word_.compare_exchange_weak(seen, next, sync::acq_rel, sync::acquire)) return seen;
    }
  }

  alignas(64) sync::Atomic<uintptr_t> word_{0};
  RunCell* next_free_ = nullptr;
};

}  // namespace weft
