// The scheduler with all its parts: what its header promises, and the invariants of PROTOCOL.md.
#include <algorithm>
#include <deque>
#include <mutex>
#include <vector>

#include "pool.hpp"

using namespace weft;
using namespace weft::test;

namespace {

size_t some_workers(Random& random) { return 1 + random.below(4); }

void check_each_once(const std::deque<Job>& jobs) {
  for (const Job& job : jobs) CHECK_EQ(job.runs.load(), 1);
}

// A door that jobs stand before until the test opens it: a task that runs for as long as we like.
class Gate {
 public:
  void open() { open_.store(true); }
  void pass() const {
    wait_until([this] { return open_.load(); });
  }

 private:
  std::atomic<bool> open_{false};
};

}  // namespace

TEST(smoke) {
  for (size_t workers : {1, 2, 4}) {
    std::deque<Job> jobs(1000);
    {
      Pool pool(workers);
      for (Job& job : jobs) pool.submit(job);
    }
    check_each_once(jobs);
  }
}

TEST(a_pool_without_tasks_ends) {
  for (size_t i = 0; i < rounds(200); ++i) Pool pool(1 + i % 4);
}

TEST(stampede) {
  Random random(seed());
  for (size_t round = 0; round < rounds(20); ++round) {
    constexpr uint32_t kSubmitters = 8;
    std::vector<std::deque<Job>> jobs(kSubmitters);
    for (auto& mine : jobs) mine.resize(500);
    {
      Pool pool(some_workers(random));
      on_threads(kSubmitters, [&](uint32_t i) {
        for (Job& job : jobs[i]) pool.submit(job, static_cast<int>((i + 1) % 3) - 1);
      });
    }
    for (const auto& mine : jobs) check_each_once(mine);
  }
}

TEST(nested_submission) {
  // A binary tree of tasks; each makes its children. With enough of them local queues overflow.
  for (size_t workers : {1, 2, 3}) {
    constexpr size_t kTasks = (1 << 13) - 1;
    std::deque<Job> jobs(kTasks);
    {
      Pool pool(workers);
      std::atomic<size_t> ran{0};
      for (size_t i = 0; i < kTasks; ++i) {
        jobs[i].body = [&, i] {
          for (size_t child : {2 * i + 1, 2 * i + 2})
            if (child < kTasks) pool.submit(jobs[child]);
          ran.fetch_add(1);
        };
      }
      pool.submit(jobs[0]);
      wait_until([&] { return ran.load() == kTasks; });
    }
    check_each_once(jobs);
  }
}

TEST(one_task_makes_very_many) {
  // More than a local queue holds, while others steal from it.
  std::deque<Job> jobs(5000);
  {
    Pool pool(3);
    Job mother([&] {
      for (Job& job : jobs) pool.submit(job);
    });
    pool.submit(mother);
    wait_until([&] { return mother.done(); });
    pool.wait_idle();
  }
  check_each_once(jobs);
}

TEST(first_in_first_out_with_one_worker) {
  std::vector<size_t> order;
  std::deque<Job> jobs(2000);
  Gate gate;
  Pool pool(1);
  Job first([&] { gate.pass(); });
  pool.submit(first);
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].body = [&order, i] { order.push_back(i); };
    pool.submit(jobs[i]);
  }
  gate.open();
  wait_until([&] { return jobs.back().done(); });
  pool.wait_idle();
  CHECK_EQ(order.size(), jobs.size());
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST(priorities_with_one_worker) {
  // Higher first, but for the few picks that keep the others from starving; within one priority, first come.
  constexpr size_t kEach = 60;
  std::vector<std::pair<int, size_t>> order;
  std::deque<Job> jobs;
  Gate gate;
  Pool pool(1);
  Job first([&] { gate.pass(); });
  pool.submit(first);
  wait_until([&] { return pool.running() == 1; });
  for (size_t i = 0; i < kEach; ++i) {
    for (int priority : {-2, -1, 0, 1, 2}) {
      jobs.emplace_back([&order, priority, i] { order.emplace_back(priority, i); });
      pool.submit(jobs.back(), priority);
    }
  }
  gate.open();
  pool.wait_idle();
  check_each_once(jobs);
  size_t upside_down = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    for (size_t j = i + 1; j < order.size(); ++j) {
      if (order[i].first == order[j].first) CHECK(order[i].second < order[j].second);
    }
    // Somebody of a higher priority was passed over for this one.
    upside_down += std::any_of(order.begin() + static_cast<std::ptrdiff_t>(i), order.end(),
                               [&](const auto& later) { return later.first > order[i].first; });
  }
  CHECK(upside_down <= order.size() / 8);
}

TEST(a_task_that_refills_its_own_queue_starves_nobody) {
  // A chain that goes on until the other task has run: it hangs if that one never gets its turn.
  struct Case {
    int chain;
    int other;
    bool outside;
  };
  for (const Case& now : {Case{0, 0, true}, Case{0, -1, false}, Case{1, 0, false}, Case{1, 0, true}, Case{1, -1, false}}) {
    Gate gate;
    Job other;
    Job before([&] { gate.pass(); });
    std::deque<Job> chain(2);
    std::atomic<bool> stop{false};
    Pool pool(1);
    for (size_t i : {0, 1}) {
      chain[i].body = [&, i] {
        if (!stop.load()) pool.submit(chain[1 - i], now.chain);
      };
    }
    pool.submit(before);
    pool.submit(chain[0], now.chain);
    if (now.outside) {
      pool.submit_outside(other, now.other);
    } else {
      pool.submit(other, now.other);
    }
    gate.open();
    wait_until([&] { return other.done(); });
    stop.store(true);
  }
}

TEST(above_and_below_together_do_not_starve_the_ordinary) {
  std::atomic<bool> stop{false};
  std::deque<Job> chains(4);
  Pool pool(1);
  for (size_t i = 0; i < 4; ++i) {
    chains[i].body = [&, i] {
      if (!stop.load()) pool.submit(chains[i ^ 1], i < 2 ? 1 : -1);
    };
  }
  Gate gate;
  Job before([&] { gate.pass(); });
  Job ordinary;
  pool.submit(before);
  pool.submit(chains[0], 1);
  pool.submit(chains[2], -1);
  pool.submit(ordinary);
  gate.open();
  wait_until([&] { return ordinary.done(); });
  stop.store(true);
}

TEST(tasks_queued_behind_a_long_one_do_not_starve) {
  // One worker is stuck with tasks in its own queue; the other always finds something in the injector.
  Pool pool(2);
  std::deque<Job> children(5);
  Gate gate;
  Job stuck([&] {
    gate.pass();
    for (Job& child : children) pool.submit(child);
    wait_until([&] { return std::all_of(children.begin(), children.end(), [](const Job& job) { return job.done(); }); });
  });
  std::atomic<bool> stop{false};
  std::deque<Job> chain(8);
  for (size_t i = 0; i < chain.size(); ++i) {
    chain[i].body = [&, i] {
      if (!stop.load()) pool.submit_outside(chain[(i + 4) % 8]);
    };
  }
  pool.submit(stuck);
  wait_until([&] { return pool.running() == 1; });
  for (size_t i = 0; i < 4; ++i) pool.submit(chain[i]);
  wait_until([&] { return chain[7].done(); });
  gate.open();
  wait_until([&] { return stuck.done(); });
  stop.store(true);
  pool.wait_idle();
}

TEST(there_and_back_uses_one_worker) {
  Pool pool(4);
  std::deque<Job> jobs(rounds(500));
  for (Job& job : jobs) {
    pool.submit(job);
    wait_until([&] { return job.done(); });
    pool.wait_idle();
  }
  CHECK_EQ(pool.started(), 1);
}

TEST(workers_are_made_on_demand_up_to_the_limit) {
  Pool pool(3);
  Gate gate;
  std::deque<Job> long_ones(5);
  for (Job& job : long_ones) job.body = [&] { gate.pass(); };
  for (uint32_t i = 0; i < 3; ++i) {
    pool.submit(long_ones[i]);
    wait_until([&] { return pool.running() == i + 1; });
    CHECK_EQ(pool.scheduler().live(), i + 1);
  }
  pool.submit(long_ones[3]);
  pool.submit(long_ones[4]);
  CHECK_EQ(pool.scheduler().live(), 3);
  CHECK_EQ(pool.running(), 3);
  gate.open();
  pool.wait_idle();
  CHECK_EQ(pool.most_live(), 3);
  CHECK_EQ(pool.started(), 3);
}

TEST(tasks_submitted_together_run_together) {
  // Each round needs all workers at once: a task that is hidden from a worker that sleeps would hang it, and so would
  // one that nobody made a worker for.
  Random random(seed());
  for (uint32_t workers : {2u, 3u, 4u}) {
    for (size_t cpus : {1, 8}) {
      Pool pool(workers, cpus);
      for (size_t round = 0; round < rounds(300); ++round) {
        std::atomic<uint32_t> here{0};
        std::deque<Job> small(random.below(4));
        std::deque<Job> meeting(workers);
        for (Job& job : meeting) {
          job.body = [&] {
            here.fetch_add(1);
            wait_until([&] { return here.load() == workers; });
          };
        }
        for (Job& job : small) pool.submit(job);
        for (Job& job : meeting) pool.submit(job);
        wait_until([&] {
          const auto done = [](const Job& job) { return job.done(); };
          return std::all_of(meeting.begin(), meeting.end(), done) && std::all_of(small.begin(), small.end(), done);
        });
        random.dawdle(3000);
      }
      CHECK(pool.most_live() <= workers);
    }
  }
}

TEST(a_submit_wakes_a_sleeper) {
  // There and back, the worker asleep or just about to be. A wake-up that is lost hangs this.
  Random random(seed());
  for (size_t workers : {1, 2}) {
    for (size_t cpus : {1, 8}) {  // with one there is no spinning
      Pool pool(workers, cpus);
      std::deque<Job> jobs(rounds(10000));
      for (size_t i = 0; i < jobs.size(); ++i) {
        pool.submit(jobs[i]);
        wait_until([&] { return jobs[i].done(); });
        if (i % 16 == 0) pool.wait_asleep();
        random.dawdle(200);
      }
    }
  }
}

TEST(many_submit_to_workers_that_keep_falling_asleep) {
  Random random(seed());
  for (size_t round = 0; round < rounds(10); ++round) {
    Pool pool(2, 1);
    on_threads(3, [&](uint32_t i) {
      Random mine(seed() + round * 8 + i);
      std::deque<Job> jobs(200);
      for (Job& job : jobs) {
        pool.submit(job);
        if (mine.below(2) == 0) wait_until([&] { return job.done(); });
        mine.dawdle(300);
      }
      wait_until([&] { return std::all_of(jobs.begin(), jobs.end(), [](const Job& job) { return job.done(); }); });
    });
  }
}

TEST(waiting_for_own_tasks_does_not_deadlock) {
  // Invariant 5: nested submission at any depth, for any size of pool.
  for (size_t workers : {1, 2}) {
    Pool pool(workers);
    constexpr size_t kDepth = 40;
    std::deque<Job> jobs(kDepth);
    for (size_t i = 0; i < kDepth; ++i) {
      jobs[i].body = [&, i] {
        if (i + 1 == kDepth) return;
        pool.submit(jobs[i + 1]);
        pool.wait_blocked([&] { return jobs[i + 1].done(); });
      };
    }
    pool.submit(jobs[0]);
    wait_until([&] { return jobs[0].done(); });
    check_each_once(jobs);
    // Back to strength: the stand-ins go when they find nothing to do.
    wait_until([&] { return pool.scheduler().live() <= workers; });
    CHECK_EQ(pool.scheduler().blocked(), 0);
  }
}

TEST(blocking_and_coming_back_loses_no_worker) {
  // Stand-ins come and go while more tasks block: one that decides to go just as it is needed must not leave the queue
  // to nobody.
  Random random(seed());
  for (size_t workers : {1, 2}) {
    Pool pool(workers, 1 + random.below(4));
    for (size_t round = 0; round < rounds(1500); ++round) {
      constexpr size_t kParents = 3;
      std::deque<Job> parents(kParents);
      std::deque<Job> children(kParents);
      for (size_t i = 0; i < kParents; ++i) {
        parents[i].body = [&, i] {
          pool.submit(children[i]);
          pool.wait_blocked([&, i] { return children[i].done(); });
        };
      }
      for (Job& job : parents) pool.submit(job);
      wait_until([&] { return std::all_of(parents.begin(), parents.end(), [](const Job& job) { return job.done(); }); });
      random.dawdle(2000);
    }
    wait_until([&] { return pool.scheduler().live() <= workers; });
  }
}

TEST(stand_ins_go_although_there_is_work) {
  // One worker, a queue that never runs dry. After the wait is over no two tasks may run at a time for long.
  Pool pool(1);
  std::atomic<bool> stop{false};
  std::deque<Job> chain(4);
  std::atomic<size_t> turns{0};
  for (size_t i = 0; i < 4; ++i) {
    chain[i].body = [&, i] {
      turns.fetch_add(1);
      if (!stop.load()) pool.submit_outside(chain[(i + 2) % 4]);
    };
  }
  Job awaited;
  Job waits([&] {
    pool.submit(awaited);
    pool.wait_blocked([&] { return awaited.done(); });
  });
  pool.submit(chain[0]);
  pool.submit(chain[1]);
  pool.submit(waits);
  wait_until([&] { return waits.done(); });
  wait_until([&] { return pool.scheduler().live() == 1; });
  const size_t then = turns.load();
  wait_until([&] { return turns.load() > then + 100; });
  CHECK_EQ(pool.scheduler().live(), 1);
  stop.store(true);
  pool.wait_idle();
}

TEST(a_reservation_that_is_cancelled_leaves_no_trace) {
  Pool pool(1);
  for (size_t i = 0; i < 100; ++i) {
    Worker* worker = pool.scheduler().reserve_worker();
    CHECK(worker != nullptr);
    CHECK(pool.scheduler().reserve_worker() == nullptr);
    pool.scheduler().cancel_reservation(*worker);
    CHECK(pool.scheduler().all_left());
    CHECK_EQ(pool.scheduler().idle().searching, 0);
  }
  Job job;
  pool.submit(job);
  wait_until([&] { return job.done(); });
}

TEST(drain_at_a_random_moment_loses_nothing) {
  Random random(seed());
  for (size_t round = 0; round < rounds(400); ++round) {
    constexpr uint32_t kSubmitters = 2;
    std::vector<std::deque<Job>> outer(kSubmitters);
    std::vector<std::deque<Job>> inner(kSubmitters);
    std::vector<size_t> accepted(kSubmitters, 0);
    for (auto& mine : outer) mine.resize(60);
    for (auto& mine : inner) mine.resize(60);
    {
      Pool pool(some_workers(random), 1 + random.below(3));
      std::mutex closing;  // as an executor has it: a submit is before or after the shutdown
      bool closed = false;
      for (uint32_t i = 0; i < kSubmitters; ++i) {
        for (size_t k = 0; k < outer[i].size(); ++k) {
          if (random.below(3) == 0) outer[i][k].body = [&, i, k] { pool.submit(inner[i][k]); };
        }
      }
      const size_t patience = random.below(4000);
      on_threads(kSubmitters + 1, [&](uint32_t i) {
        Random mine(seed() + round * 16 + i);
        if (i == kSubmitters) {
          mine.dawdle(patience);
          std::lock_guard guard(closing);
          closed = true;
          pool.begin_drain();
          return;
        }
        for (Job& job : outer[i]) {
          mine.dawdle(60);
          std::lock_guard guard(closing);
          if (closed) return;
          pool.submit(job);
          ++accepted[i];
        }
      });
    }
    for (uint32_t i = 0; i < kSubmitters; ++i) {
      for (size_t k = 0; k < outer[i].size(); ++k) {
        CHECK_EQ(outer[i][k].runs.load(), k < accepted[i]);
        CHECK_EQ(inner[i][k].runs.load(), k < accepted[i] && outer[i][k].body != nullptr);
      }
    }
  }
}

TEST(stop_at_a_random_moment_runs_or_gives_back) {
  Random random(seed());
  for (size_t round = 0; round < rounds(400); ++round) {
    std::deque<Job> outer(300);
    std::deque<Job> inner(300);
    std::vector<Job*> taken;
    std::atomic<size_t> submitted{0};
    const auto take = [&](Pool& pool) {
      TaskChain chain = pool.scheduler().take_all();
      const size_t said = chain.size;
      size_t counted = 0;
      for (; Task* task = chain.take_first(); ++counted) taken.push_back(static_cast<Job*>(task));
      CHECK_EQ(said, counted);
    };
    {
      Pool pool(some_workers(random), 1 + random.below(3));
      for (size_t k = 0; k < outer.size(); ++k) {
        outer[k].body = [&, k] {
          if (k % 3 != 0) return;
          submitted.fetch_add(1);
          pool.submit(inner[k], static_cast<int>(k % 2));
        };
      }
      const size_t patience = random.below(4000);
      on_threads(2, [&](uint32_t i) {
        Random mine(seed() + round * 4 + i);
        if (i == 0) {
          for (Job& job : outer) {
            mine.dawdle(20);
            submitted.fetch_add(1);
            pool.submit(job, mine.below(8) == 0 ? -1 : 0);
          }
        } else {
          mine.dawdle(patience);
          pool.begin_stop();
          take(pool);  // while workers are still about: perhaps not all
        }
      });
      pool.wait_all_left();
      take(pool);  // now it is
      CHECK_EQ(pool.scheduler().queued(), 0);
    }
    size_t ran = 0;
    for (const auto* jobs : {&outer, &inner}) {
      for (const Job& job : *jobs) {
        CHECK(job.runs.load() <= 1);
        ran += job.runs.load();
      }
    }
    for (Job* job : taken) CHECK_EQ(job->runs.fetch_add(1), 0);  // neither run nor taken twice
    CHECK_EQ(ran + taken.size(), submitted.load());
  }
}

TEST(taking_all_while_workers_drain) {
  // cancel_futures=True: what is queued is taken away, what runs goes on, and whatever was missed is run.
  Random random(seed());
  for (size_t round = 0; round < rounds(300); ++round) {
    std::deque<Job> jobs(400);
    std::vector<Job*> taken;
    {
      Pool pool(some_workers(random), 1 + random.below(3));
      for (Job& job : jobs) pool.submit(job);
      random.dawdle(500);
      pool.begin_drain();
      TaskChain chain = pool.scheduler().take_all();
      while (Task* task = chain.take_first()) taken.push_back(static_cast<Job*>(task));
    }
    for (Job* job : taken) CHECK_EQ(job->runs.fetch_add(1), 0);
    check_each_once(jobs);
  }
}

TEST(taking_all_gets_what_is_queued_behind_busy_workers) {
  // Nobody moves while it is taken: it must be complete at once, and in order.
  Pool pool(1);
  Gate gate;
  std::deque<Job> mine(300);
  std::deque<Job> others(300);
  Job busy([&] {
    for (Job& job : mine) pool.submit(job);
    gate.pass();
  });
  pool.submit(busy);
  wait_until([&] { return pool.scheduler().queued() == mine.size(); });
  for (Job& job : others) pool.submit(job);
  TaskChain chain = pool.scheduler().take_all();
  CHECK_EQ(chain.size, mine.size() + others.size());
  std::vector<Task*> order;
  while (Task* task = chain.take_first()) order.push_back(task);
  for (size_t i = 1; i < others.size(); ++i) {
    CHECK(std::find(order.begin(), order.end(), &others[i - 1]) < std::find(order.begin(), order.end(), &others[i]));
  }
  gate.open();
  pool.wait_idle();
}

TEST(draining_waits_for_what_is_held_back) {
  // A retry: the task asks for another go, and somebody submits it again later, from outside.
  Random random(seed());
  for (size_t round = 0; round < rounds(2000); ++round) {
    Job again;
    std::atomic<bool> held{false};
    {
      Pool pool(1 + random.below(2), 1 + random.below(3));
      Job first([&] {
        pool.scheduler().hold();
        held.store(true);
      });
      const size_t patience = random.below(1500);
      pool.submit(first);
      wait_until([&] { return held.load(); });
      pool.begin_drain();
      random.dawdle(patience);
      pool.submit(again);
      pool.scheduler().release_hold();
    }
    CHECK_EQ(again.runs.load(), 1);
  }
}

TEST(a_scheduler_may_go_as_soon_as_all_have_left) {
  // The last hold is released, and the last task is submitted, by threads that have nothing else to do with the pool.
  Random random(seed());
  for (size_t round = 0; round < rounds(1000); ++round) {
    auto pool = std::make_unique<Pool>(2, 1 + random.below(3));
    Pool& reference = *pool;
    Job job([&] { reference.scheduler().hold(); });
    pool->submit(job);
    wait_until([&] { return job.done(); });
    pool->begin_drain();
    std::thread releaser([&, wait = random.below(500)] {
      Random(round).dawdle(wait);
      reference.scheduler().release_hold();
    });
    pool.reset();
    releaser.join();
  }
}
