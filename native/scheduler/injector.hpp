// The injector: where tasks arrive from threads that are not workers, and where full local queues overflow to.
//
// First in, first out. Intrusive, so a push allocates nothing; the lock is held for a few instructions, and a
// worker takes a whole batch under it. size() may be read by anyone at any time.
#pragma once

#include <cassert>
#include <cstddef>
#include <utility>

#include "scheduler/task.hpp"
#include "sync/mutex.hpp"

namespace weft {

// A first-in-first-out chain of tasks with one owner.
struct TaskChain {
  Task* head = nullptr;
  Task* tail = nullptr;
  size_t size = 0;

  void append(Task& task) {
    task.next = nullptr;
    if (tail != nullptr) {
      tail->next = &task;
    } else {
      head = &task;
    }
    tail = &task;
    ++size;
  }

  Task* take_first() {
    Task* task = head;
    if (task == nullptr) return nullptr;
    head = task->next;
    if (head == nullptr) tail = nullptr;
    task->next = nullptr;
    --size;
    return task;
  }

  TaskChain take_first(size_t limit) {
    if (limit >= size) return std::exchange(*this, TaskChain{});
    TaskChain first;
    if (limit == 0) return first;
    first = {head, head, limit};
    for (size_t i = 1; i < limit; ++i) first.tail = first.tail->next;
    head = first.tail->next;
    first.tail->next = nullptr;
    size -= limit;
    return first;
  }

  void append_all(TaskChain& other) {
    if (other.head == nullptr) return;
    if (tail != nullptr) {
      tail->next = other.head;
    } else {
      head = other.head;
    }
    tail = other.tail;
    size += other.size;
    other = TaskChain{};
  }
};

class Injector {
 public:
  size_t size() const { return size_.load(sync::seq_cst); }

  void push(Task& task) {
    sync::LockGuard guard(mutex_);
    chain_.append(task);
    publish_size_lock_held();
  }

  void push_all(TaskChain& tasks) {
    sync::LockGuard guard(mutex_);
    chain_.append_all(tasks);
    publish_size_lock_held();
  }

  TaskChain pop_batch(size_t limit) {
    sync::LockGuard guard(mutex_);
    TaskChain batch = chain_.take_first(limit);
    publish_size_lock_held();
    return batch;
  }

  TaskChain take_all() {
    sync::LockGuard guard(mutex_);
    TaskChain all = chain_;
    chain_ = TaskChain{};
    publish_size_lock_held();
    return all;
  }

 private:
  // seq_cst: pairs with EventCount's state word (PROTOCOL.md, "no wake-up is lost").
  void publish_size_lock_held() {
    assert(mutex_.is_locked());
    size_.store(chain_.size, sync::seq_cst);
  }

  alignas(64) sync::Mutex mutex_;
  TaskChain chain_;
  alignas(64) sync::Atomic<size_t> size_{0};
};

}  // namespace weft
