// The local queue: one owner, several thieves, each task to exactly one of them; positions that wrap; overflow.
#include <deque>
#include <memory>

#include "check.hpp"
#include "scheduler/local_queue.hpp"

using namespace weft;
using namespace weft::test;

namespace {

struct Item : Task {
  uint32_t number = 0;
  std::atomic<uint32_t> got{0};
};

uint32_t number_of(Task* task) { return static_cast<Item*>(task)->number; }

std::deque<Item> make_items(uint32_t count) {
  std::deque<Item> items(count);
  for (uint32_t i = 0; i < count; ++i) items[i].number = i;
  return items;
}

// Where the positions begin: anywhere, and so that they wrap at each point of what follows.
const uint32_t kStarts[] = {0u, 1u, 0u - 1u, 0u - 2u, 0u - 100u, 0u - 128u, 0u - 255u, 0u - 256u, 0u - 300u, 1u << 31};

}  // namespace

TEST(first_in_first_out) {
  for (uint32_t start : kStarts) {
    LocalQueue queue(start);
    Injector overflow;
    auto items = make_items(LocalQueue::kCapacity);
    CHECK(queue.looks_empty());
    CHECK(queue.pop() == nullptr);
    for (Item& item : items) queue.push(item, overflow);
    CHECK_EQ(queue.looks_like(), LocalQueue::kCapacity);
    CHECK_EQ(queue.room(), 0);
    for (Item& item : items) CHECK(queue.pop() == &item);
    CHECK(queue.pop() == nullptr);
    CHECK_EQ(queue.room(), LocalQueue::kCapacity);
    CHECK_EQ(overflow.size(), 0);
  }
}

TEST(a_full_queue_sends_its_older_half_away) {
  for (uint32_t start : kStarts) {
    LocalQueue queue(start);
    Injector overflow;
    auto items = make_items(LocalQueue::kCapacity + 1);
    for (Item& item : items) queue.push(item, overflow);
    CHECK_EQ(queue.looks_like(), LocalQueue::kCapacity / 2);
    CHECK_EQ(overflow.size(), LocalQueue::kCapacity / 2 + 1);
    TaskChain sent = overflow.take_all();
    for (uint32_t i = 0; i < LocalQueue::kCapacity / 2; ++i) CHECK_EQ(number_of(sent.take_first()), i);
    CHECK_EQ(number_of(sent.take_first()), LocalQueue::kCapacity);
    for (uint32_t i = LocalQueue::kCapacity / 2; i < LocalQueue::kCapacity; ++i) CHECK_EQ(number_of(queue.pop()), i);
    CHECK(queue.looks_empty());
  }
}

TEST(a_thief_takes_the_older_half) {
  for (uint32_t start : kStarts) {
    for (uint32_t count : {1u, 2u, 3u, 7u, 255u, 256u}) {
      LocalQueue victim(start);
      LocalQueue mine(0u - start);
      Injector overflow;
      auto items = make_items(count);
      for (Item& item : items) victim.push(item, overflow);
      Task* first = Stealer(victim).steal_into(mine);
      CHECK(first != nullptr);
      const uint32_t stolen = count - count / 2;
      CHECK_EQ(number_of(first), 0);
      CHECK_EQ(mine.looks_like(), stolen - 1);
      for (uint32_t i = 1; i < stolen; ++i) CHECK_EQ(number_of(mine.pop()), i);
      for (uint32_t i = stolen; i < count; ++i) CHECK_EQ(number_of(victim.pop()), i);
      CHECK(Stealer(victim).steal_into(mine) == nullptr);
    }
  }
}

TEST(a_thief_without_room_takes_nothing) {
  LocalQueue victim;
  LocalQueue mine;
  Injector overflow;
  auto items = make_items(LocalQueue::kCapacity / 2 + 2);
  victim.push(items[0], overflow);
  for (uint32_t i = 1; i < items.size(); ++i) mine.push(items[i], overflow);
  CHECK(Stealer(victim).steal_into(mine) == nullptr);
  CHECK(mine.pop() != nullptr);
  CHECK(Stealer(victim).steal_into(mine) == &items[0]);
}

TEST(each_task_goes_to_exactly_one) {
  Random random(seed());
  for (uint32_t start : kStarts) {
    for (size_t round = 0; round < rounds(12); ++round) {
      const auto thieves = static_cast<uint32_t>(1 + random.below(3));
      const uint32_t count = 3000;
      auto items = make_items(count);
      LocalQueue queue(start);
      Injector overflow;
      std::atomic<uint32_t> taken{0};
      const auto take = [&](Task* task) {
        CHECK_EQ(static_cast<Item*>(task)->got.fetch_add(1), 0);
        taken.fetch_add(1);
      };
      on_threads(thieves + 1, [&](uint32_t me) {
        Random mine(seed() + round * 8 + me);
        if (me == 0) {
          uint32_t next = 0;
          while (taken.load() < count) {
            for (size_t burst = mine.below(300); burst > 0 && next < count; --burst) queue.push(items[next++], overflow);
            for (size_t burst = mine.below(100); burst > 0; --burst) {
              if (Task* task = queue.pop()) take(task);
            }
            TaskChain sent = overflow.pop_batch(mine.below(200));
            while (Task* task = sent.take_first()) take(task);
            if (next == count) std::this_thread::yield();
          }
          return;
        }
        LocalQueue loot(start - me);
        while (taken.load() < count) {
          Task* task = Stealer(queue).steal_into(loot);
          if (task == nullptr) std::this_thread::yield();
          for (; task != nullptr; task = loot.pop()) take(task);
          mine.dawdle(50);
        }
      });
      for (Item& item : items) CHECK_EQ(item.got.load(), 1);
      CHECK(queue.looks_empty());
      CHECK_EQ(overflow.size(), 0);
    }
  }
}

TEST(thieves_that_steal_from_each_other) {
  for (size_t round = 0; round < rounds(30); ++round) {
    constexpr uint32_t kOwners = 3;
    const uint32_t each = 1000;
    auto items = make_items(kOwners * each);
    LocalQueue queues[kOwners];
    Injector overflow;
    std::atomic<uint32_t> taken{0};
    on_threads(kOwners, [&](uint32_t me) {
      Random mine(seed() + round * 8 + me);
      uint32_t next = me * each;
      const auto take = [&](Task* task) {
        CHECK_EQ(static_cast<Item*>(task)->got.fetch_add(1), 0);
        taken.fetch_add(1);
      };
      while (taken.load() < items.size()) {
        for (size_t burst = mine.below(40); burst > 0 && next < (me + 1) * each; --burst) queues[me].push(items[next++], overflow);
        for (size_t burst = mine.below(20); burst > 0; --burst) {
          if (Task* task = queues[me].pop()) take(task);
        }
        if (Task* task = Stealer(queues[(me + 1 + mine.below(kOwners - 1)) % kOwners]).steal_into(queues[me])) take(task);
        TaskChain sent = overflow.pop_batch(100);
        while (Task* task = sent.take_first()) take(task);
      }
    });
    for (Item& item : items) CHECK_EQ(item.got.load(), 1);
  }
}
