// The priority lane: highest first, then first come; each task once.
#include <deque>
#include <vector>

#include "check.hpp"
#include "scheduler/priority_lane.hpp"

using namespace weft;
using namespace weft::test;

namespace {

struct Item : Task {
  int priority = 0;
  uint32_t number = 0;
  std::atomic<uint32_t> got{0};
};

}  // namespace

TEST(highest_first_then_first_come) {
  Random random(seed());
  PriorityLane lane;
  CHECK(lane.pop() == nullptr);
  std::deque<Item> items(1000);
  for (uint32_t i = 0; i < items.size(); ++i) {
    items[i].priority = static_cast<int>(random.below(20)) - 10;
    items[i].number = i;
    lane.push(items[i], items[i].priority);
  }
  CHECK_EQ(lane.size(), items.size());
  const Item* before = nullptr;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto* item = static_cast<Item*>(lane.pop());
    CHECK(item != nullptr);
    if ((i + 1) % PriorityLane::kOldestEvery == 0) continue;
    if (before != nullptr) {
      CHECK(before->priority > item->priority || (before->priority == item->priority && before->number < item->number));
    }
    before = item;
  }
  CHECK(lane.pop() == nullptr);
  CHECK_EQ(lane.size(), 0);
}

TEST(an_endless_stream_of_higher_ones_starves_nobody) {
  PriorityLane lane;
  std::deque<Item> items(100);
  lane.push(items[0], 1);
  lane.push(items[1], 2);
  size_t popped = 0;
  for (size_t next = 2; items[0].got.load() == 0; ++next) {
    CHECK(next < items.size());
    lane.push(items[next], 3);
    static_cast<Item*>(lane.pop())->got.fetch_add(1);
    ++popped;
  }
  CHECK_EQ(popped, PriorityLane::kOldestEvery);
}

TEST(each_task_goes_to_exactly_one) {
  for (size_t round = 0; round < rounds(40); ++round) {
    constexpr uint32_t kEach = 1000;
    std::deque<Item> items(2 * kEach);
    PriorityLane lane;
    std::atomic<uint32_t> taken{0};
    on_threads(4, [&](uint32_t me) {
      Random mine(seed() + round * 8 + me);
      if (me < 2) {
        for (uint32_t i = 0; i < kEach; ++i) lane.push(items[me * kEach + i], static_cast<int>(mine.below(7)));
        return;
      }
      while (taken.load() < items.size()) {
        if (Task* task = lane.pop()) {
          CHECK_EQ(static_cast<Item*>(task)->got.fetch_add(1), 0);
          taken.fetch_add(1);
        } else {
          std::this_thread::yield();
        }
      }
    });
    for (Item& item : items) CHECK_EQ(item.got.load(), 1);
  }
}
