// A worker: its own queue, and what only it may touch. Kept by the scheduler until the scheduler goes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "scheduler/local_queue.hpp"
#include "scheduler/run_cell.hpp"
#include "sync/spin.hpp"

namespace weft {

class Scheduler;

class Worker {
 public:
  Worker(Scheduler& scheduler, size_t index)
      : scheduler_(scheduler), cell_(RunCell::obtain()), index_(index), random_(0x9e3779b97f4a7c15u * (index + 1)) {}
  ~Worker() { RunCell::give_back(cell_); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  size_t index() const { return index_; }
  Scheduler& scheduler() { return scheduler_; }
  RunCell& cell() { return *cell_; }
  Stealer stealer() { return Stealer(queue_); }
  uint32_t queued() const { return queue_.looks_like(); }
  bool looks_idle() const { return queue_.looks_empty(); }

 private:
  friend class Scheduler;

  uint64_t next_random() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }

  Scheduler& scheduler_;
  RunCell* cell_;
  const size_t index_;
  LocalQueue queue_;

  // Owner only from here on.
  uint64_t random_;
  uint32_t picks_ = 0;
  bool refilled_itself_ = false;  // a task run here submitted more, since the injector was last looked at first
  sync::SpinBudget spin_budget_;
};

}  // namespace weft
