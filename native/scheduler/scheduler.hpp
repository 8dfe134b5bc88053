// The scheduler: workers over queues, whatever the workers run and wherever their threads come from.
//
// Any thread may submit. Each worker's life is one call of work() on its own thread; the embedder makes the
// threads (reserve_worker tells whether one more is wanted) and a Runner for each, which knows how to run a task.
//
// Invariants: a submitted task is handed to exactly one Runner::run or returned by exactly one take_all; a task
// that is in a queue while a worker sleeps has a searching worker on its way to it; no worker is made beyond limit()
// (max_workers, and one more for every worker that is blocked in a wait), and when the limit falls back the surplus
// worker leaves after the task it is in.
//
// Ends in phases: begin_drain (workers leave once the queues are empty and nothing is held back), begin_stop
// (workers leave after the task they are in; what is queued is for take_all), then wait_all_left.
// Work that arrives after begin_drain is still accepted here: refusing it is the embedder's affair. A take_all while
// workers are still inside may miss what one of them is moving between queues: call it again when all have left.
//
// How the parts fit without locks: PROTOCOL.md. Pinned by native/tests/test_scheduler.cpp.
#pragma once

#include <memory>
#include <vector>

#include "scheduler/priority_lane.hpp"
#include "scheduler/worker.hpp"
#include "sync/event_count.hpp"

namespace weft {

// What a worker does with tasks. One per worker thread, called on that thread only.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual void attach() = 0;       // before the first task of a batch
  virtual void detach() = 0;       // after the last one; also called before the worker spins, sleeps or leaves
  virtual void run(Task& task) = 0;  // attached; takes the task over
  virtual void want_worker() = 0;  // attached; work waits and nobody is idle: start a worker if one can be reserved
  // Attached, with no task at hand: if tasks that run() has begun go on by themselves, waits until one of them has ended, or
  // there is another reason to look for tasks, and returns true. Until then this worker counts as busy.
  virtual bool wait_under_way() { return false; }
};

class Scheduler {
 public:
  enum class Phase : uint32_t { running, draining, stopping };

  Scheduler(size_t max_workers, size_t cpus);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // --- submitting ---
  // `me` is the calling worker if it is one of ours, else null. True: no worker is free and another one may be
  // made, so the caller should reserve_worker() and start it.
  [[nodiscard]] bool submit(Task& task, int priority, Worker* me);

  // --- workers ---
  Worker* reserve_worker();             // null: the limit is reached
  void cancel_reservation(Worker&);     // its thread could not be started
  void work(Worker&, Runner&);

  // A worker is about to wait for something that another task of ours may have to do. True: start a stand-in.
  [[nodiscard]] bool begin_blocked();
  void end_blocked();

  // Something not in a queue will be submitted later (a retry): draining waits for it.
  void hold() { held_.fetch_add(1, sync::seq_cst); }
  void release_hold();

  // --- ending ---
  void begin_drain() { enter(Phase::draining); }
  void begin_stop() { enter(Phase::stopping); }
  Phase phase() const { return phase_.load(sync::acquire); }
  TaskChain take_all();                 // every queued task, from every queue; complete once all have left
  sync::Parked wait_all_left(sync::Nanos deadline);  // woken: perhaps; ask all_left()
  bool all_left() const { return inside_.load(sync::acquire) == 0; }

  // --- looking ---
  uint32_t live() const { return live_.load(sync::acquire); }
  uint32_t blocked() const { return blocked_.load(sync::acquire); }
  size_t queued() const;
  sync::EventCount::Counts idle() const { return idlers_.counts(); }
  size_t max_workers() const { return max_workers_; }
  template <class Visit>
  void for_each_worker(Visit&& visit) const {
    const WorkerList* list = workers_.load(sync::acquire);
    const size_t size = list->size.load(sync::acquire);
    for (size_t i = 0; i < size; ++i) visit(*list->items[i]);
  }

 private:
  // Grows by doubling; readers hold no lock, so outgrown lists are kept until the scheduler goes.
  struct WorkerList {
    explicit WorkerList(size_t capacity) : items(capacity) {}
    sync::Atomic<size_t> size{0};
    std::vector<Worker*> items;
  };

  uint32_t limit() const;
  void enter(Phase);
  void go();
  Worker* new_worker_lock_held();
  Task* pick(Worker&);
  Task* from_injector(Worker&);
  Task* steal(Worker&);
  bool work_visible() const;
  bool spin_for_work(Worker&);
  void notify_moved();
  bool may_run() const;
  [[nodiscard]] bool take_place();
  [[nodiscard]] bool leave_if_due(bool drained);
  [[nodiscard]] bool come_back();
  void hand_over(Worker&);
  template <class Waiting>
  [[nodiscard]] bool notify_and_ask(Waiting&&);

  const size_t max_workers_;
  const uint32_t max_spinners_;

  Injector injector_;
  PriorityLane above_;
  PriorityLane below_;
  sync::EventCount idlers_;

  alignas(64) sync::Atomic<Phase> phase_{Phase::running};
  sync::Atomic<uint32_t> live_{0};  // workers that count against the limit
  sync::ParkWord inside_{0};        // workers that may still touch the scheduler
  sync::Atomic<uint32_t> blocked_{0};
  sync::Atomic<uint32_t> held_{0};

  sync::Mutex workers_mutex_;  // guards growth of the list and the spares
  sync::Atomic<WorkerList*> workers_;
  std::vector<std::unique_ptr<WorkerList>> lists_;
  std::vector<std::unique_ptr<Worker>> owned_;
  std::vector<Worker*> spares_;
};

}  // namespace weft
