// What one task costs in the scheduler, without Python: nanoseconds per task, best of several runs.
//
//   cmake --preset release && cmake --build --preset release --target bench_scheduler
//   build/release/native/tests/bench_scheduler [tasks]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "scheduler/scheduler.hpp"

using namespace weft;

namespace {

struct Bench {
  explicit Bench(size_t workers, size_t cpus) : scheduler(workers, cpus) {}
  ~Bench() {
    scheduler.begin_drain();
    while (!scheduler.all_left()) (void)scheduler.wait_all_left(sync::kForever);
  }

  struct CountingRunner final : Runner {
    explicit CountingRunner(Bench& its) : bench(its) {}
    void attach() override {}
    void detach() override {  // counts once per batch, as the pool does
      if (ran == 0) return;
      bench.done.fetch_add(ran, sync::release);
      ran = 0;
      if (bench.watched.load(sync::seq_cst) != 0) sync::unpark_all(bench.done);
    }
    void run(Task&) override { ++ran; }
    void want_worker() override { bench.grow(); }
    Bench& bench;
    uint32_t ran = 0;
  };

  void grow() {
    Worker* worker = scheduler.reserve_worker();
    if (worker == nullptr) return;
    std::thread([this, worker] {
      CountingRunner runner(*this);
      scheduler.work(*worker, runner);
    }).detach();
  }
  void submit(Task& task) {
    if (scheduler.submit(task, 0, nullptr)) grow();
  }
  void wait(uint32_t count) {
    watched.store(1, sync::seq_cst);
    for (uint32_t seen; (seen = done.load(sync::seq_cst)) < count;) (void)sync::park(done, seen, sync::kForever);
    watched.store(0, sync::seq_cst);
  }

  Scheduler scheduler;
  sync::ParkWord done{0};
  sync::Atomic<uint32_t> watched{0};
};

double submit_and_run(size_t workers, uint32_t count) {
  Bench bench(workers, std::thread::hardware_concurrency());
  std::vector<Task> tasks(count);
  const sync::Nanos start = sync::now();
  for (Task& task : tasks) bench.submit(task);
  bench.wait(count);
  return static_cast<double>(sync::now() - start) / count;
}

double there_and_back(size_t cpus, uint32_t count) {
  Bench bench(1, cpus);
  Task task;
  const sync::Nanos start = sync::now();
  for (uint32_t i = 1; i <= count; ++i) {
    bench.submit(task);
    while (bench.done.load(sync::acquire) < i) sync::cpu_relax();
  }
  return static_cast<double>(sync::now() - start) / count;
}

// A worker that submits to itself and runs what it submitted.
double local(uint32_t count) {
  struct LocalRunner final : Runner {
    LocalRunner(Scheduler& its, Worker& worker, uint32_t how_many) : scheduler(its), me(worker), left(how_many) {}
    void attach() override {}
    void detach() override {}
    void run(Task& task) override {
      if (--left > 0) {
        (void)scheduler.submit(task, 0, &me);
      } else {
        scheduler.begin_drain();
      }
    }
    void want_worker() override {}
    Scheduler& scheduler;
    Worker& me;
    uint32_t left;
  };
  Scheduler scheduler(1, 1);
  Worker* worker = scheduler.reserve_worker();
  LocalRunner runner(scheduler, *worker, count);
  Task task;
  (void)scheduler.submit(task, 0, nullptr);
  const sync::Nanos start = sync::now();
  scheduler.work(*worker, runner);
  return static_cast<double>(sync::now() - start) / count;
}

template <class Run>
void report(const char* what, Run&& run) {
  double best = run();
  for (int i = 0; i < 4; ++i) best = std::min(best, run());
  std::printf("%-56s %9.1f ns per task\n", what, best);
}

}  // namespace

int main(int argc, char** argv) {
  const auto count = static_cast<uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000);
  report("submit from outside and run, 1 worker", [&] { return submit_and_run(1, count); });
  report("submit from outside and run, 2 workers", [&] { return submit_and_run(2, count); });
  report("submit from a worker to itself and run", [&] { return local(count); });
  report("there and back, the worker spins", [&] { return there_and_back(4, count / 20); });
  report("there and back, the worker sleeps", [&] { return there_and_back(1, count / 20); });
  return 0;
}
