#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <cassert>
#include <thread>

namespace weft {

namespace {

using sync::acquire;
using sync::relaxed;
using sync::seq_cst;

// Every so many picks a worker looks first where it would otherwise look last, so that nobody starves: not the injector
// behind tasks that submit more tasks, not the queue of a worker that is stuck in a long task, not the lower priorities.
// Primes, so that they do not fall together.
constexpr uint32_t kInjectorFirst = 61;
constexpr uint32_t kStealFirst = 53;
constexpr uint32_t kBelowFirst = 37;
constexpr uint32_t kAboveLast = 17;

constexpr size_t kBatch = LocalQueue::kCapacity / 2;

}  // namespace

Scheduler::Scheduler(size_t max_workers, size_t cpus)
    : max_workers_(max_workers), max_spinners_(cpus < 2 ? 0 : static_cast<uint32_t>(cpus / 2)) {
  lists_.push_back(std::make_unique<WorkerList>(8));
  workers_.store(lists_.back().get(), relaxed);
}

Scheduler::~Scheduler() = default;

uint32_t Scheduler::limit() const {
  return static_cast<uint32_t>(std::min<size_t>(max_workers_ + blocked_.load(seq_cst), sync::EventCount::kMostIdlers));
}

size_t Scheduler::queued() const {
  size_t total = injector_.size() + above_.size() + below_.size();
  for_each_worker([&](Worker& worker) { total += worker.queued(); });
  return total;
}

// ---- submitting -------------------------------------------------------------------------------------------------

bool Scheduler::submit(Task& task, int priority, Worker* me) {
  if (priority > 0) {
    above_.push(task, priority);
    return notify_and_ask([this] { return above_.size(); });
  }
  if (priority < 0) {
    below_.push(task, priority);
    return notify_and_ask([this] { return below_.size(); });
  }
  if (me != nullptr) {
    me->queue_.push(task, injector_);
    me->refilled_itself_ = true;
    return notify_and_ask([me] { return size_t{me->queued()}; });
  }
  injector_.push(task);
  return notify_and_ask([this] { return queued(); });
}

// Wakes a sleeper for work that has been published. True: nobody can be woken, and another worker is called for.
template <class Waiting>
bool Scheduler::notify_and_ask(Waiting&& waiting) {
  if (idlers_.notify_one() == sync::EventCount::Notified::woke) return false;
  // acquire: whoever sees a leaver gone from the event count also sees it gone from here.
  if (live_.load(acquire) >= limit()) return false;
  // A searcher takes care of one task; a second one that waits is worth a second worker. The searchers are counted first:
  // one that finds a task after that has looked at what it leaves behind, while the other order would take the task and
  // its finder's absence for a task that nobody cares for.
  const auto idle = idlers_.counts();
  return idle.sleeping == 0 && waiting() > idle.searching && phase_.load(acquire) != Phase::stopping;
}

// ---- workers ----------------------------------------------------------------------------------------------------

Worker* Scheduler::reserve_worker() {
  if (!take_place()) return nullptr;
  inside_.fetch_add(1, seq_cst);
  // Born searching, and counted as such from now on: submitters need not start another one for the same task.
  idlers_.begin_search();
  sync::LockGuard guard(workers_mutex_);
  if (!spares_.empty()) {
    Worker* worker = spares_.back();
    spares_.pop_back();
    return worker;
  }
  return new_worker_lock_held();
}

Worker* Scheduler::new_worker_lock_held() {
  assert(workers_mutex_.is_locked());
  WorkerList* list = lists_.back().get();
  const size_t size = list->size.load(relaxed);
  if (size == list->items.size()) {
    auto larger = std::make_unique<WorkerList>(size * 2);
    std::copy(list->items.begin(), list->items.end(), larger->items.begin());
    larger->size.store(size, relaxed);
    lists_.push_back(std::move(larger));
    list = lists_.back().get();
    workers_.store(list, sync::release);
  }
  owned_.push_back(std::make_unique<Worker>(*this, size));
  Worker* worker = owned_.back().get();
  list->items[size] = worker;
  list->size.store(size + 1, sync::release);
  return worker;
}

void Scheduler::cancel_reservation(Worker& worker) {
  {
    sync::LockGuard guard(workers_mutex_);
    spares_.push_back(&worker);
  }
  // First the place, then the search: a submit that finds nobody searching must find the place free.
  live_.fetch_sub(1, seq_cst);
  // If others found nothing to do because this one counted as searching, the work is still there for them.
  if (idlers_.end_search() && work_visible()) (void)idlers_.notify_one();
  go();
}

void Scheduler::work(Worker& me, Runner& runner) {
  bool searching = true;  // since reserve_worker
  bool attached = false;
  for (;;) {
    if (!attached && work_visible() && may_run()) {
      runner.attach();
      attached = true;
    }
    Task* task = attached && may_run() ? pick(me) : nullptr;
    if (task != nullptr) {
      if (searching) {
        searching = false;
        // The last searcher that finds work hands the search on if there is more, or nobody would look.
        if (idlers_.end_search() && work_visible() && notify_and_ask([this] { return queued(); })) runner.want_worker();
      }
      runner.run(*task);
      continue;
    }
    if (attached && !searching && runner.wait_under_way()) continue;
    // Before detaching: whoever comes to run because we let go should find us free, and not ask for another worker.
    if (!searching) {
      idlers_.begin_search();
      searching = true;
    }
    if (attached) {
      runner.detach();
      attached = false;
    }
    if (spin_for_work(me)) continue;
    idlers_.prepare_sleep();
    // From here on a submit counts us as asleep; what was submitted before, we see now. So it is with what makes a
    // worker leave: either we see it, or who did it sees us and notifies. The holds are looked at before the queues: who
    // releases one has submitted first. The queues are looked at once: work that a second look did not find any more
    // would let us fall asleep in a drain.
    const bool held = held_.load(seq_cst) != 0;
    const bool work = work_visible();
    if (leave_if_due(!held && !work)) {
      idlers_.cancel_sleep();
      hand_over(me);
      if (!come_back()) break;
    } else if (work) {
      idlers_.cancel_sleep();
    } else {
      idlers_.sleep();
    }
  }
  {
    sync::LockGuard guard(workers_mutex_);
    spares_.push_back(&me);
  }
  go();
}

bool Scheduler::may_run() const {
  return phase_.load(acquire) != Phase::stopping && live_.load(relaxed) <= limit();
}

// A leaver's queue may hold tasks, if it leaves as a surplus worker or at a stop.
void Scheduler::hand_over(Worker& me) {
  TaskChain rest;
  while (Task* task = me.queue_.pop()) rest.append(*task);
  if (rest.size > 0) injector_.push_all(rest);
}

// The end of a leaver's search; its place is free already. True: work came while it still counted as searching, nobody
// else can be woken for it and the place is still free; so it has the place back and searches.
bool Scheduler::come_back() {
  if (!idlers_.end_search()) return false;
  const bool more_must_go = live_.load(seq_cst) > limit();
  if (!more_must_go && (phase_.load(seq_cst) == Phase::stopping || !work_visible())) return false;
  if (idlers_.notify_one() != sync::EventCount::Notified::nobody_sleeps || !take_place()) return false;
  idlers_.begin_search();
  return true;
}

bool Scheduler::take_place() {
  uint32_t live = live_.load(acquire);
  do {
    if (live >= limit()) return false;
  } while (!live_.compare_exchange_weak(live, live + 1, seq_cst, acquire));
  return true;
}

// The last thing a worker does here: after the subtraction the scheduler may be gone, which is why unpark takes the
// address as a mere key.
void Scheduler::go() {
  const uint32_t before = inside_.fetch_sub(1, seq_cst);
  assert(before > 0);
  if (before == 1) sync::unpark_all(inside_);
}

// One atomic step decides that this worker goes, so that two surplus workers do not both go for one place.
bool Scheduler::leave_if_due(bool drained) {
  uint32_t live = live_.load(acquire);
  for (;;) {
    const Phase phase = phase_.load(seq_cst);
    const bool due = phase == Phase::stopping || (phase == Phase::draining && drained) || live > limit();
    if (!due) return false;
    if (live_.compare_exchange_weak(live, live - 1, seq_cst, acquire)) return true;
  }
}

Task* Scheduler::pick(Worker& me) {
  const uint32_t turn = ++me.picks_;
  // Only a worker whose tasks submit more tasks can starve the injector; all others stay first in, first out.
  if (turn % kInjectorFirst == 0 && me.refilled_itself_) {
    me.refilled_itself_ = false;
    if (Task* task = from_injector(me)) return task;
  }
  if (turn % kStealFirst == 0) {
    if (Task* task = steal(me)) return task;
  }
  if (turn % kBelowFirst == 0) {
    if (Task* task = below_.pop()) return task;
  }
  if (turn % kAboveLast != 0) {
    if (Task* task = above_.pop()) return task;
  }
  if (Task* task = me.queue_.pop()) return task;
  // What others have taken from the injector and not begun is older than what is in there. Left for later it could end up
  // behind tasks that wait for it, with a worker free all the time; served in order, it cannot.
  if (Task* task = steal(me)) return task;
  if (Task* task = from_injector(me)) return task;
  if (Task* task = above_.pop()) return task;
  return below_.pop();
}

Task* Scheduler::from_injector(Worker& me) {
  const size_t waiting = injector_.size();
  if (waiting == 0) return nullptr;
  // A fair share of what waits, counting also the workers that are still to be made, so that a batch of long tasks does
  // not end up behind one worker, and submitters see what is left and make those.
  const size_t share = waiting / limit() + 1;
  TaskChain batch = injector_.pop_batch(std::min<size_t>({share, kBatch, me.queue_.room() + size_t{1}}));
  Task* first = batch.take_first();
  if (batch.head == nullptr) return first;
  while (Task* task = batch.take_first()) me.queue_.push(*task, injector_);
  notify_moved();
  return first;
}

Task* Scheduler::steal(Worker& me) {
  const WorkerList* list = workers_.load(acquire);
  const size_t size = list->size.load(acquire);
  if (size < 2) return nullptr;
  const size_t start = me.next_random() % size;
  for (size_t i = 0; i < size; ++i) {
    Worker& victim = *list->items[(start + i) % size];
    if (&victim == &me) continue;
    if (Task* task = victim.stealer().steal_into(me.queue_)) {
      if (!me.looks_idle()) notify_moved();
      return task;
    }
  }
  return nullptr;
}

// While tasks go from one queue to another no one sees them, so a searcher may have gone to sleep over them. A mover that
// counts as searching itself looks after them when its search ends; to one that does not, they are newly published.
void Scheduler::notify_moved() { (void)idlers_.notify_one(); }

bool Scheduler::work_visible() const {
  if (injector_.size() > 0 || above_.size() > 0 || below_.size() > 0) return true;
  const WorkerList* list = workers_.load(acquire);
  const size_t size = list->size.load(acquire);
  for (size_t i = 0; i < size; ++i) {
    if (!list->items[i]->looks_idle()) return true;
  }
  return false;
}

// Only some workers may spin at a time. True: there is work that this worker may run; a surplus one must go on to leave,
// or it would go round here for as long as there is work for others.
bool Scheduler::spin_for_work(Worker& me) {
  if (!may_run() || idlers_.counts().searching > max_spinners_) return false;
  me.spin_budget_.spin([this] { return injector_.size() > 0 || phase_.load(acquire) != Phase::running; });
  return phase_.load(acquire) == Phase::running && may_run() && work_visible();
}

// ---- blocking ---------------------------------------------------------------------------------------------------

bool Scheduler::begin_blocked() {
  blocked_.fetch_add(1, seq_cst);
  return work_visible() && notify_and_ask([this] { return queued(); });
}

void Scheduler::end_blocked() {
  [[maybe_unused]] const auto before = blocked_.fetch_sub(1, seq_cst);
  assert(before > 0);
  // One worker too many now, perhaps: let a sleeper look at that; one that is awake looks before it sleeps.
  if (live_.load(seq_cst) > limit()) (void)idlers_.notify_one();
}

// The workers may leave as soon as the hold is gone: until we are done here we count as one who may touch the scheduler.
void Scheduler::release_hold() {
  inside_.fetch_add(1, seq_cst);
  if (held_.fetch_sub(1, seq_cst) == 1 && phase_.load(seq_cst) != Phase::running) idlers_.notify_all();
  go();
}

// ---- ending -----------------------------------------------------------------------------------------------------

void Scheduler::enter(Phase next) {
  Phase seen = phase_.load(seq_cst);
  while (seen < next && !phase_.compare_exchange_weak(seen, next, seq_cst, seq_cst)) {
  }
  idlers_.notify_all();
}

TaskChain Scheduler::take_all() {
  TaskChain all = injector_.take_all();
  while (Task* task = above_.pop()) all.append(*task);
  while (Task* task = below_.pop()) all.append(*task);
  LocalQueue mine;  // we steal like a worker does, into a queue of our own
  for_each_worker([&](Worker& victim) {
    while (!victim.looks_idle()) {
      Task* task = victim.stealer().steal_into(mine);
      if (task == nullptr) {  // another thief is at work there, for a few instructions
        std::this_thread::yield();
        continue;
      }
      all.append(*task);
      while (Task* more = mine.pop()) all.append(*more);
    }
  });
  return all;
}

sync::Parked Scheduler::wait_all_left(sync::Nanos deadline) {
  const uint32_t inside = inside_.load(acquire);
  return inside == 0 ? sync::Parked::woken : sync::park(inside_, inside, deadline);
}

}  // namespace weft
