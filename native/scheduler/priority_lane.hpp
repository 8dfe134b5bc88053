// A lane for tasks whose priority is not the ordinary one: highest priority first, then first come.
//
// Every kOldestEvery-th pop takes the task that has waited longest instead, so that an endless stream of higher
// priorities starves nobody. One queue per priority under a lock: such tasks are few and their priorities fewer, and an
// ordinary task only pays for one load of size().
#pragma once

#include <cassert>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>

#include "scheduler/injector.hpp"

namespace weft {

class PriorityLane {
 public:
  static constexpr uint32_t kOldestEvery = 16;

  size_t size() const { return size_.load(sync::seq_cst); }

  void push(Task& task, int priority) {
    sync::LockGuard guard(mutex_);
    levels_[priority].push_back({arrivals_++, &task});
    size_.store(size_.load(sync::relaxed) + 1, sync::seq_cst);
  }

  Task* pop() {
    if (size_.load(sync::relaxed) == 0) return nullptr;
    sync::LockGuard guard(mutex_);
    if (levels_.empty()) return nullptr;
    const auto level = ++pops_ % kOldestEvery == 0 ? oldest_lock_held() : levels_.begin();
    Task* task = level->second.front().task;
    level->second.pop_front();
    if (level->second.empty()) levels_.erase(level);
    size_.store(size_.load(sync::relaxed) - 1, sync::seq_cst);
    return task;
  }

 private:
  struct Entry {
    uint64_t arrival;
    Task* task;
  };
  using Levels = std::map<int, std::deque<Entry>, std::greater<>>;  // no level is empty

  Levels::iterator oldest_lock_held() {
    assert(mutex_.is_locked());
    auto oldest = levels_.begin();
    for (auto level = levels_.begin(); level != levels_.end(); ++level) {
      if (level->second.front().arrival < oldest->second.front().arrival) oldest = level;
    }
    return oldest;
  }

  sync::Mutex mutex_;
  Levels levels_;
  uint64_t arrivals_ = 0;
  uint32_t pops_ = 0;
  alignas(64) sync::Atomic<size_t> size_{0};
};

}  // namespace weft
