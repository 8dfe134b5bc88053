// The injector and its chains: in order, each task once, the size true whenever nobody is inside.
#include <algorithm>
#include <deque>
#include <vector>

#include "check.hpp"
#include "scheduler/injector.hpp"

using namespace weft;
using namespace weft::test;

namespace {

struct Item : Task {
  uint32_t from = 0;
  uint32_t number = 0;
  std::atomic<uint32_t> got{0};
};

}  // namespace

TEST(batches_come_in_order) {
  Injector injector;
  std::deque<Item> items(100);
  for (uint32_t i = 0; i < items.size(); ++i) {
    items[i].number = i;
    injector.push(items[i]);
  }
  CHECK_EQ(injector.size(), 100);
  uint32_t next = 0;
  for (size_t limit : {0, 1, 2, 50, 46, 1000, 5}) {
    TaskChain batch = injector.pop_batch(limit);
    CHECK_EQ(batch.size, std::min<size_t>(limit, 100 - next));
    CHECK((batch.head == nullptr) == (batch.size == 0));
    size_t counted = 0;
    for (; Task* task = batch.take_first(); ++counted) CHECK_EQ(static_cast<Item*>(task)->number, next++);
    CHECK(batch.head == nullptr && batch.tail == nullptr && batch.size == 0);
    CHECK_EQ(injector.size(), 100 - next);
  }
  CHECK_EQ(next, 100);
  injector.push(items[0]);
  CHECK_EQ(injector.take_all().size, 1);
  CHECK_EQ(injector.size(), 0);
}

TEST(chains_are_joined_in_order) {
  std::deque<Item> items(6);
  TaskChain first, second, empty;
  first.append_all(empty);
  CHECK_EQ(first.size, 0);
  for (uint32_t i = 0; i < 6; ++i) (i < 3 ? first : second).append(items[i]);
  first.append_all(second);
  first.append_all(empty);
  CHECK_EQ(second.size, 0);
  CHECK_EQ(first.size, 6);
  for (Item& item : items) CHECK(first.take_first() == &item);
  CHECK(first.take_first() == nullptr);
}

TEST(each_task_once_and_in_order_of_its_producer) {
  for (size_t round = 0; round < rounds(40); ++round) {
    constexpr uint32_t kProducers = 2;
    constexpr uint32_t kConsumers = 2;
    constexpr uint32_t kEach = 2000;
    Injector injector;
    std::deque<Item> items[kProducers];
    std::atomic<uint32_t> taken{0};
    for (uint32_t p = 0; p < kProducers; ++p) {
      items[p].resize(kEach);
      for (uint32_t i = 0; i < kEach; ++i) items[p][i].from = p, items[p][i].number = i;
    }
    on_threads(kProducers + kConsumers, [&](uint32_t me) {
      Random mine(seed() + round * 8 + me);
      if (me < kProducers) {
        for (uint32_t i = 0; i < kEach;) {
          if (mine.below(4) == 0) {
            TaskChain chain;
            for (size_t n = mine.below(20); n > 0 && i < kEach; --n) chain.append(items[me][i++]);
            injector.push_all(chain);
          } else {
            injector.push(items[me][i++]);
          }
        }
        return;
      }
      std::vector<int64_t> last(kProducers, -1);
      while (taken.load() < kProducers * kEach) {
        TaskChain batch = mine.below(50) == 0 ? injector.take_all() : injector.pop_batch(1 + mine.below(40));
        if (batch.head == nullptr) std::this_thread::yield();
        while (Task* task = batch.take_first()) {
          Item& item = *static_cast<Item*>(task);
          CHECK_EQ(item.got.fetch_add(1), 0);
          CHECK(item.number > last[item.from]);
          last[item.from] = item.number;
          taken.fetch_add(1);
        }
      }
    });
    CHECK_EQ(injector.size(), 0);
  }
}
