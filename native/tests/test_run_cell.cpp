// The run cell: what is done under its lock is done to the task that was asked for or not at all.
#include <vector>

#include "check.hpp"
#include "scheduler/run_cell.hpp"

using namespace weft;
using namespace weft::test;

namespace {

struct Item : Task {
  std::atomic<uint32_t> posted{0};  // by interrupters
  std::atomic<uint32_t> taken{0};   // by interrupters
  uint32_t told_posted = 0;         // by the runner, as the cell told it
  uint32_t told_taken = 0;
};

struct Cell {
  Cell() : cell(RunCell::obtain()) {}
  ~Cell() { RunCell::give_back(cell); }
  RunCell* operator->() const { return cell; }
  RunCell* cell;
};

}  // namespace

TEST(only_the_task_that_runs_can_be_locked) {
  Cell cell;
  Item one, other;
  CHECK(!cell->lock(one));
  CHECK(cell->lock_any() == nullptr);
  cell->begin(one);
  CHECK(!cell->lock(other));
  CHECK(cell->lock(one));
  cell->unlock();
  CHECK(cell->lock_any() == &one);
  CHECK(!cell->interrupt_posted());
  cell->unlock_posted();
  CHECK(cell->interrupt_posted());
  RunCell::Outcome outcome = cell->end();
  CHECK(outcome.interrupted && !outcome.taken);
  CHECK(!cell->lock(one));
  cell->begin(other);
  CHECK(!cell->interrupt_posted());
  outcome = cell->end();
  CHECK(!outcome.interrupted && !outcome.taken);
}

TEST(one_that_was_taken_can_still_be_posted_to) {
  Cell cell;
  Item item, other;
  cell->begin(item);
  CHECK(!cell->post_to_taken(item));
  CHECK(cell->lock(item));
  cell->unlock_taken();
  CHECK(!cell->post_to_taken(other));
  CHECK(cell->post_to_taken(item));
  CHECK(cell->post_to_taken(item));
  const RunCell::Outcome outcome = cell->end();
  CHECK(outcome.interrupted && outcome.taken);
  CHECK(!cell->post_to_taken(item));
  cell->begin(other);
  CHECK(!cell->interrupt_posted());
  (void)cell->end();
}

TEST(a_task_is_taken_once) {
  Cell cell;
  Item item;
  cell->begin(item);
  CHECK(cell->lock(item));
  cell->unlock_posted();
  CHECK(cell->lock(item));
  cell->unlock_taken();
  CHECK(!cell->lock(item));
  CHECK(cell->lock_any() == nullptr);
  const RunCell::Outcome outcome = cell->end();
  CHECK(outcome.interrupted && outcome.taken);
}

TEST(a_suspended_task_keeps_its_flags_and_deadline) {
  Cell cell;
  Item outer, inner;
  cell->deadline_.store(12345);
  cell->begin(outer);
  CHECK(cell->lock(outer));
  cell->unlock_posted();
  const RunCell::Suspended suspended = cell->suspend();
  CHECK(!cell->lock(outer));
  CHECK_EQ(cell->deadline_.load(), sync::kForever);
  cell->begin(inner);
  CHECK(!cell->lock(outer));
  CHECK(cell->lock(inner));
  cell->unlock();
  CHECK(!cell->end().interrupted);
  cell->resume(suspended);
  CHECK_EQ(cell->deadline_.load(), 12345);
  CHECK(cell->interrupt_posted());
  CHECK(cell->lock(outer));
  cell->unlock();
  CHECK(cell->end().interrupted);
}

TEST(cells_are_used_again_and_start_clean) {
  RunCell* first = RunCell::obtain();
  first->deadline_.store(1);
  RunCell::give_back(first);
  RunCell* again = RunCell::obtain();
  CHECK(again == first);
  CHECK_EQ(again->deadline_.load(), sync::kForever);
  CHECK(again->lock_any() == nullptr);
  RunCell::give_back(again);
  std::vector<RunCell*> cells;
  on_threads(4, [&](uint32_t) {
    for (size_t i = 0; i < rounds(5000); ++i) {
      RunCell* mine = RunCell::obtain();
      Item item;
      mine->begin(item);
      CHECK(mine->lock(item));
      mine->unlock();
      CHECK(!mine->end().interrupted);
      RunCell::give_back(mine);
    }
  });
}

TEST(an_interrupt_never_hits_another_task) {
  // The runner goes through tasks, some of them suspended for an inner one; interrupters pick any task and do what an
  // embedder does: under the lock, to a "thread" that has one exception pending.
  Random random(seed());
  for (size_t round = 0; round < rounds(60); ++round) {
    constexpr uint32_t kTasks = 300;
    constexpr uint32_t kInterrupters = 2;
    Cell cell;
    std::vector<Item> items(kTasks);
    std::atomic<Task*> pending{nullptr};  // for whom an exception was posted to this thread
    std::atomic<uint32_t> position{0};
    std::atomic<bool> over{false};

    on_threads(kInterrupters + 1, [&](uint32_t me) {
      Random mine(seed() + round * 8 + me);
      if (me > 0) {
        while (!over.load()) {
          const uint32_t at = position.load() + static_cast<uint32_t>(mine.below(3));
          Item* item = &items[std::min(at, kTasks - 1)];
          if (mine.below(4) == 0) {  // as the timer does
            item = static_cast<Item*>(cell->lock_any());
            if (item == nullptr) continue;
          } else if (!cell->lock(*item)) {
            continue;
          }
          switch (mine.below(3)) {
            case 0:
              cell->unlock();
              break;
            case 1:
              pending.store(item);
              item->posted.fetch_add(1);
              cell->unlock_posted();
              break;
            default:
              item->taken.fetch_add(1);
              cell->unlock_taken();
          }
        }
        return;
      }
      const auto leave = [&](Item& item, RunCell::Outcome outcome) {
        item.told_posted = outcome.interrupted;
        item.told_taken = outcome.taken;
        Task* seen = pending.load();
        if (outcome.interrupted) {
          CHECK(seen == &item);
          pending.store(nullptr);
        } else {
          CHECK(seen == nullptr);
        }
      };
      for (uint32_t i = 0; i + 1 < kTasks;) {
        position.store(i);
        Item& outer = items[i++];
        cell->begin(outer);
        mine.dawdle(60);
        if (mine.below(2) == 0) {
          const RunCell::Suspended suspended = cell->suspend();
          Task* stashed = pending.exchange(nullptr);
          CHECK(stashed == nullptr || stashed == &outer);
          Item& inner = items[i++];
          cell->begin(inner);
          mine.dawdle(60);
          leave(inner, cell->end());
          pending.store(stashed);
          cell->resume(suspended);
          mine.dawdle(30);
        }
        leave(outer, cell->end());
      }
      over.store(true);
    });
    for (const Item& item : items) {
      CHECK_EQ(item.told_posted, item.posted.load() > 0);
      CHECK_EQ(item.told_taken, item.taken.load());
    }
  }
}
