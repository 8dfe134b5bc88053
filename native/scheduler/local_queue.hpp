// A worker's own queue: a bounded ring, first in first out, from which thieves take half at a time.
//
// The algorithm is that of tokio's multi-thread scheduler (Carl Lerche, "Making the Tokio scheduler 10x
// faster", 2019), which refines Go's. `head` packs two positions: `real`, the next task the owner pops, and
// `steal`, the first slot that a thief is still copying out; they differ only while one thief is at work, and
// while they do no second thief starts. Positions are 32 bits wide and wrap; only differences are compared.
//
// LocalQueue is the owner's view, Stealer the thief's: the compiler refuses the wrong one. See PROTOCOL.md.
#pragma once

#include <array>
#include <cstdint>

#include "scheduler/injector.hpp"

namespace weft {

class Stealer;

class LocalQueue {
 public:
  static constexpr uint32_t kCapacity = 256;

  LocalQueue() = default;
  // With positions that begin anywhere: for the tests, which make them wrap.
  explicit LocalQueue(uint32_t start) : head_(pack({start, start})), tail_(start) {}

  // Owner only. A full ring sends half of itself and the task to `overflow`.
  void push(Task& task, Injector& overflow) {
    for (;;) {
      const uint64_t packed = head_.load(sync::acquire);
      const Head head = unpack(packed);
      const uint32_t tail = tail_.load(sync::relaxed);  // only the owner writes it
      if (tail - head.steal < kCapacity) {
        slots_[tail & kMask].store(&task, sync::relaxed);
        // seq_cst: publishes the slot, and pairs with EventCount's state word.
        tail_.store(tail + 1, sync::seq_cst);
        return;
      }
      if (head.steal != head.real) {  // a thief is making room; do not wait for it
        overflow.push(task);
        return;
      }
      if (overflow_half(packed, head, tail, task, overflow)) return;
    }
  }

  // Owner only.
  Task* pop() {
    uint64_t packed = head_.load(sync::acquire);
    for (;;) {
      const Head head = unpack(packed);
      const uint32_t tail = tail_.load(sync::relaxed);
      if (head.real == tail) return nullptr;
      const uint32_t next = head.real + 1;
      const Head after = head.steal == head.real ? Head{next, next} : Head{head.steal, next};
      if (head_.compare_exchange_weak(packed, pack(after), sync::acq_rel, sync::acquire)) {
        return slots_[head.real & kMask].load(sync::relaxed);
      }
    }
  }

  // Owner only: how many tasks certainly fit.
  uint32_t room() const {
    return kCapacity - (tail_.load(sync::relaxed) - unpack(head_.load(sync::acquire)).steal);
  }

  // Anyone.
  bool looks_empty() const { return unpack(head_.load(sync::seq_cst)).real == tail_.load(sync::seq_cst); }
  uint32_t looks_like() const {
    const uint32_t real = unpack(head_.load(sync::seq_cst)).real;
    const uint32_t length = tail_.load(sync::seq_cst) - real;
    return length > kCapacity ? 0 : length;  // the two loads are not one snapshot
  }

 private:
  friend class Stealer;

  static constexpr uint32_t kMask = kCapacity - 1;
  static_assert((kCapacity & kMask) == 0, "positions are masked");

  struct Head {
    uint32_t steal;
    uint32_t real;
  };
  static constexpr Head unpack(uint64_t packed) {
    return {static_cast<uint32_t>(packed >> 32), static_cast<uint32_t>(packed)};
  }
  static constexpr uint64_t pack(Head head) { return (static_cast<uint64_t>(head.steal) << 32) | head.real; }

  bool overflow_half(uint64_t packed, Head head, uint32_t tail, Task& task, Injector& overflow) {
    constexpr uint32_t kMoved = kCapacity / 2;
    if (tail - head.real != kCapacity) return false;  // a thief took some meanwhile: there is room again
    const Head after{head.real + kMoved, head.real + kMoved};
    if (!head_.compare_exchange_strong(packed, pack(after), sync::acq_rel, sync::acquire)) return false;
    TaskChain moved;
    for (uint32_t i = 0; i < kMoved; ++i) moved.append(*slots_[(head.real + i) & kMask].load(sync::relaxed));
    moved.append(task);
    overflow.push_all(moved);
    return true;
  }

  alignas(64) sync::Atomic<uint64_t> head_{0};
  alignas(64) sync::Atomic<uint32_t> tail_{0};
  alignas(64) std::array<sync::Atomic<Task*>, kCapacity> slots_{};
};

class Stealer {
 public:
  explicit Stealer(LocalQueue& victim) : victim_(victim) {}

  // Called by the owner of `into`: takes half of the victim's tasks, moves them there and returns the oldest.
  Task* steal_into(LocalQueue& into) {
    if (into.room() < LocalQueue::kCapacity / 2) return nullptr;
    const uint32_t into_tail = into.tail_.load(sync::relaxed);
    uint64_t packed = victim_.head_.load(sync::acquire);
    LocalQueue::Head head;
    uint32_t count;
    for (;;) {
      head = LocalQueue::unpack(packed);
      const uint32_t tail = victim_.tail_.load(sync::acquire);
      if (head.steal != head.real) return nullptr;  // another thief is at work
      const uint32_t available = tail - head.real;
      if (available > LocalQueue::kCapacity) {  // the tail was read long after the head: look again
        packed = victim_.head_.load(sync::acquire);
        continue;
      }
      count = available - available / 2;
      if (count == 0) return nullptr;
      const LocalQueue::Head claimed{head.steal, head.real + count};
      if (victim_.head_.compare_exchange_weak(packed, LocalQueue::pack(claimed), sync::acq_rel, sync::acquire)) break;
    }
    // The slots [steal, steal + count) are ours until `steal` catches up with `real`: the owner does not reuse them.
    Task* mine = victim_.slots_[head.steal & LocalQueue::kMask].load(sync::relaxed);
    for (uint32_t i = 1; i < count; ++i) {
      Task* task = victim_.slots_[(head.steal + i) & LocalQueue::kMask].load(sync::relaxed);
      into.slots_[(into_tail + i - 1) & LocalQueue::kMask].store(task, sync::relaxed);
    }
    release_claim();
    if (count > 1) into.tail_.store(into_tail + count - 1, sync::seq_cst);
    return mine;
  }

 private:
  void release_claim() {
    uint64_t packed = victim_.head_.load(sync::acquire);
    for (;;) {
      const uint32_t real = LocalQueue::unpack(packed).real;
      if (victim_.head_.compare_exchange_weak(packed, LocalQueue::pack({real, real}), sync::acq_rel, sync::acquire)) return;
    }
  }

  LocalQueue& victim_;
};

}  // namespace weft
