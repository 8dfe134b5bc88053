// A small embedder of the scheduler for its tests: threads for workers, and jobs that count how often they ran.
//
// Its threads are detached, and nothing of the pool is touched after Scheduler::work returns: so a scheduler that is
// destroyed as soon as all_left() says so is the real thing, and AddressSanitizer sees whoever comes too late.
#pragma once

#include <functional>
#include <thread>

#include "check.hpp"
#include "scheduler/scheduler.hpp"
#include "sync/parking.hpp"

namespace weft::test {

// What a test submits. Owned by the test.
struct Job : Task {
  Job() = default;
  explicit Job(std::function<void()> what) : body(std::move(what)) {}
  std::function<void()> body;
  sync::Atomic<uint32_t> runs{0};
  bool done() const { return runs.load() != 0; }
};

class Pool : public Dump {
 public:
  explicit Pool(size_t max_workers, size_t cpus = 2) : scheduler_(std::make_unique<Scheduler>(max_workers, cpus)) {}
  ~Pool() override {
    begin_drain();
    wait_all_left();
  }

  Scheduler& scheduler() { return *scheduler_; }

  // As a worker, if this thread is one of ours.
  void submit(Job& job, int priority = 0) {
    if (scheduler_->submit(job, priority, here())) grow();
  }
  // As a stranger, whoever calls.
  void submit_outside(Job& job, int priority = 0) {
    if (scheduler_->submit(job, priority, nullptr)) grow();
  }
  void grow() {
    Worker* worker = scheduler_->reserve_worker();
    if (worker == nullptr) return;
    const uint32_t live = scheduler_->live();
    uint32_t most = most_live_.load();
    while (most < live && !most_live_.compare_exchange_weak(most, live)) {
    }
    started_.fetch_add(1);
    std::thread([this, worker] {
      ThreadRunner runner(*this);
      current() = {scheduler_.get(), worker};
      scheduler_->work(*worker, runner);
      current() = {};
    }).detach();
  }

  // Waits as a worker does that needs another task of the pool.
  template <class Condition>
  void wait_blocked(Condition&& condition) {
    if (condition()) return;
    if (scheduler_->begin_blocked()) grow();
    wait_until(condition);
    scheduler_->end_blocked();
  }

  void begin_drain() { scheduler_->begin_drain(); }
  void begin_stop() { scheduler_->begin_stop(); }
  void wait_all_left() {
    while (!scheduler_->all_left()) (void)scheduler_->wait_all_left(sync::kForever);
  }
  // All workers are idle: asleep, or looking for work.
  void wait_idle() {
    wait_until([this] {
      const auto idle = scheduler_->idle();
      return scheduler_->queued() == 0 && idle.searching + idle.sleeping == scheduler_->live();
    });
  }
  void wait_asleep() {
    wait_until([this] { return scheduler_->idle().sleeping == scheduler_->live(); });
  }

  uint32_t running() const { return running_.load(); }
  uint32_t most_running() const { return most_running_.load(); }
  uint32_t most_live() const { return most_live_.load(); }
  uint32_t started() const { return started_.load(); }

  void dump() const override {
    const auto idle = scheduler_->idle();
    std::fprintf(stderr, "pool: phase %u live %u blocked %u searching %u sleeping %u queued %zu started %u running %u\n",
                 static_cast<unsigned>(scheduler_->phase()), scheduler_->live(), scheduler_->blocked(), idle.searching,
                 idle.sleeping, scheduler_->queued(), started_.load(), running_.load());
    scheduler_->for_each_worker([](Worker& worker) {
      std::fprintf(stderr, "  worker %zu queued %u\n", worker.index(), worker.queued());
    });
  }

 private:
  struct Current {
    Scheduler* scheduler = nullptr;
    Worker* worker = nullptr;
  };
  static Current& current() {
    thread_local Current value;
    return value;
  }
  Worker* here() const { return current().scheduler == scheduler_.get() ? current().worker : nullptr; }

  class ThreadRunner final : public Runner {
   public:
    explicit ThreadRunner(Pool& pool) : pool_(pool) {}
    ~ThreadRunner() override { CHECK(!attached_); }
    void attach() override {
      CHECK(!attached_);
      attached_ = true;
    }
    void detach() override {
      CHECK(attached_);
      attached_ = false;
    }
    void run(Task& task) override {
      CHECK(attached_);
      Job& job = static_cast<Job&>(task);
      const uint32_t running = pool_.running_.fetch_add(1) + 1;
      uint32_t most = pool_.most_running_.load();
      while (most < running && !pool_.most_running_.compare_exchange_weak(most, running)) {
      }
      if (job.body) job.body();
      pool_.running_.fetch_sub(1);
      job.runs.fetch_add(1);
    }
    void want_worker() override {
      CHECK(attached_);
      pool_.grow();
    }

   private:
    Pool& pool_;
    bool attached_ = false;
  };

  std::unique_ptr<Scheduler> scheduler_;
  std::atomic<uint32_t> running_{0};
  std::atomic<uint32_t> most_running_{0};
  std::atomic<uint32_t> most_live_{0};
  std::atomic<uint32_t> started_{0};
};

}  // namespace weft::test
