// PoolCore: its life, its timer, and how it breaks. The Python side of it is pool.cpp, its threads worker_thread.cpp.

#include <algorithm>
#include <system_error>

#include "pool/pool.hpp"
#include "tracing/trace.hpp"

namespace weft::core {

namespace {

// How long a task that was asked to stop gets before its thread is given up, and how often it is asked again.
constexpr Nanos kGrace = 1 * sync::kSecond;
constexpr Nanos kAskAgain = 200 * sync::kMillisecond;

sync::Atomic<uint32_t> pools_made{0};

// The timer's thread, attached to the interpreter of a pool. A thread state of its own each time: it is rare.
class TimerAttached {
 public:
  explicit TimerAttached(PyInterpreterState* interpreter) : state_(PyThreadState_New(interpreter)) {
    PyEval_RestoreThread(state_);
  }
  ~TimerAttached() {
    PyThreadState_Clear(state_);
    PyThreadState_DeleteCurrent();
  }
  TimerAttached(const TimerAttached&) = delete;
  TimerAttached& operator=(const TimerAttached&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace

void warn(const char* message, PyObject* argument) {
  Owned logging(PyImport_ImportModule("logging"));
  Owned logger(logging ? PyObject_CallMethod(logging.get(), "getLogger", "s", "weft") : nullptr);
  Owned logged(logger ? PyObject_CallMethod(logger.get(), "warning", "sO", message, argument) : nullptr);
  if (!logged) PyErr_WriteUnraisable(argument);
}

PoolCore::PoolCore(State* owner, PyObject* owner_module, size_t max_workers, size_t cpu_count)
    : scheduler(max_workers, cpu_count),
      state(owner),
      module(Py_NewRef(owner_module)),
      generation(fork_generation.load(sync::relaxed)),
      tag(static_cast<uint16_t>(pools_made.fetch_add(1, sync::relaxed))),
      cpus(cpu_count) {
  sync::LockGuard guard(state->pools_mutex);
  next_pool = state->pools;
  if (next_pool != nullptr) next_pool->previous_pool = this;
  state->pools = this;
}

PoolCore::~PoolCore() {
  {
    sync::LockGuard guard(state->pools_mutex);
    if (previous_pool != nullptr) {
      previous_pool->next_pool = next_pool;
    } else {
      state->pools = next_pool;
    }
    if (next_pool != nullptr) next_pool->previous_pool = previous_pool;
  }
  settle_queued(this, nullptr);
  Py_XDECREF(broken_by.load(sync::relaxed));
  Py_XDECREF(start_thread);
  Py_XDECREF(name_prefix);
  Py_XDECREF(initializer);
  Py_XDECREF(initargs);
  Py_XDECREF(router);  // SAFETY: _route()'s reference
  Py_DECREF(module);
}

void retain(PoolCore* core) { core->references.fetch_add(1, sync::relaxed); }

bool retain_unless_dying(PoolCore* core) {
  uint32_t seen = core->references.load(sync::acquire);
  while (seen > 0 && !core->references.compare_exchange_weak(seen, seen + 1, sync::acq_rel, sync::acquire)) {
  }
  return seen > 0;
}

PoolCore* retain_if_live(State* state, const PoolCore* address, uint16_t tag) {
  if (address == nullptr) return nullptr;
  sync::LockGuard guard(state->pools_mutex);
  for (PoolCore* core = state->pools; core != nullptr; core = core->next_pool) {
    if (core == address && core->tag == tag) return retain_unless_dying(core) ? core : nullptr;
  }
  return nullptr;
}

void release(PoolCore* core) {
  if (core->generation != fork_generation.load(sync::relaxed)) return;  // a forked child: never freed
  if (core->references.fetch_sub(1, sync::acq_rel) != 1) return;
  detached([&] { core->stop_threads(); });  // it waits for the timer's thread, which may be waiting for the GIL
  delete core;
}

std::vector<PoolCore*> live_cores(State* state) {
  std::vector<PoolCore*> cores;
  sync::LockGuard guard(state->pools_mutex);
  for (PoolCore* core = state->pools; core != nullptr; core = core->next_pool) {
    if (retain_unless_dying(core)) cores.push_back(core);
  }
  return cores;
}

// ---- timer --------------------------------------------------------------------------------------------------------

void PoolCore::arm(Nanos when) {
  // seq_cst with on_time, which clears armed_ before it looks at the cells: a deadline that it does not see yet is
  // written before this load, and so this load sees the cleared value.
  Nanos armed = armed_.load(sync::seq_cst);
  do {
    if (armed <= when) return;
  } while (!armed_.compare_exchange_weak(armed, when, sync::seq_cst, sync::seq_cst));
  std::shared_ptr<Timer> timer;
  {
    sync::LockGuard guard(timer_mutex_);
    if (timer_ == nullptr && scheduler.phase() != Scheduler::Phase::stopping) {
      timer_ = state->timer.lock();
      if (timer_ == nullptr) state->timer = timer_ = std::make_shared<Timer>();
      timer_->add(*this);
    }
    timer = timer_;
  }
  if (timer == nullptr) return;  // the pool ends now: what is due is dealt with there
  try {
    timer->call_by(*this, when);
  } catch (const std::system_error&) {
    PyErr_SetString(PyExc_RuntimeError, "weft: can't start the timer thread; timeouts and retries will not work");
    PyErr_WriteUnraisable(nullptr);
  }
}

void PoolCore::stop_timer() {
  std::shared_ptr<Timer> timer;
  {
    sync::LockGuard guard(timer_mutex_);
    timer = std::move(timer_);
  }
  if (timer != nullptr) timer->remove(*this);
  // Dropping the last reference joins the timer's thread.
}

void PoolCore::run_later(Future* future, Nanos when) {
  {
    sync::LockGuard guard(timer_mutex_);
    delayed_.push_back({when, future});
    std::push_heap(delayed_.begin(), delayed_.end());
  }
  arm(when);
}

std::vector<Future*> PoolCore::take_delayed() {
  std::vector<Future*> all;
  sync::LockGuard guard(timer_mutex_);
  for (const Delayed& delayed : delayed_) all.push_back(delayed.future);
  delayed_.clear();
  return all;
}

void PoolCore::add_cell(RunCell* cell) {
  sync::LockGuard guard(timer_mutex_);
  cells_.push_back(cell);
}

void PoolCore::remove_cell(RunCell* cell) {
  sync::LockGuard guard(timer_mutex_);
  std::erase(cells_, cell);
}

size_t PoolCore::in_use_by_callers() { return caller_cells().size(); }

std::vector<RunCell*> PoolCore::caller_cells() {
  sync::LockGuard guard(timer_mutex_);
  return cells_;
}

Nanos PoolCore::on_time(Nanos now) {
  armed_.store(sync::kForever, sync::seq_cst);
  if (state->closing && scheduler.phase() == Scheduler::Phase::stopping) return sync::kForever;
  Nanos next = submit_delayed(now);
  std::vector<RunCell*> cells = caller_cells();
  scheduler.for_each_worker([&](Worker& worker) { cells.push_back(&worker.cell()); });
  for (RunCell* cell : cells) {
    const Nanos deadline = cell->deadline_.load(sync::seq_cst);
    next = std::min(next, deadline <= now ? expire(*cell, now) : deadline);
  }
  Nanos armed = armed_.load(sync::seq_cst);
  while (next < armed && !armed_.compare_exchange_weak(armed, next, sync::seq_cst, sync::seq_cst)) {
  }
  return next;
}

// Retries whose time has come. Returns when the next one is due.
Nanos PoolCore::submit_delayed(Nanos now) {
  for (;;) {
    Future* future;
    {
      sync::LockGuard guard(timer_mutex_);
      if (delayed_.empty()) return sync::kForever;
      if (delayed_.front().when > now) return delayed_.front().when;
      std::pop_heap(delayed_.begin(), delayed_.end());
      future = delayed_.back().future;
      delayed_.pop_back();
    }
    if (scheduler.submit(future->link, future->options->priority, nullptr)) {
      TimerAttached attached(state->interpreter);
      start_worker_quietly(this);
    }
    scheduler.release_hold();
  }
}

// The task in this cell has had its time: ask it to stop, and again; after the grace period settle its future without
// it. Returns when to look at this cell again.
Nanos PoolCore::expire(RunCell& cell, Nanos now) {
  TimerAttached attached(state->interpreter);
  PyObject* interrupted = error_class(state, "Interrupted");
  if (interrupted == nullptr) {
    PyErr_WriteUnraisable(nullptr);
    return now + kAskAgain;
  }
  Task* task = cell.lock_any();
  if (task == nullptr) return sync::kForever;
  // Locked: the runner may be spinning for the cell, attached. So nothing here may run Python code or detach, or a
  // thread that wants to stop the world would wait for the runner and we for that thread.
  Future* future = future_of(*task);
  const Nanos deadline = cell.deadline_.load(sync::seq_cst);
  Extras* extras = future->pool == this && deadline <= now ? extras_of(future) : nullptr;
  if (extras == nullptr) {  // another task by now, or no memory
    cell.unlock();
    if (PyErr_Occurred()) PyErr_WriteUnraisable(nullptr);
    return deadline <= now ? now + kAskAgain : deadline;
  }
  if (extras->started.load(sync::relaxed) == 0) extras->started.store(now, sync::relaxed);
  future->word.fetch_or(word::kTimedOut, sync::acq_rel);
  // A process is ended by its worker's thread, see remote/process.cpp: nothing is ever stuck in it.
  if (now - extras->started.load(sync::relaxed) < kGrace || flavor == trace::Flavor::processes) {
    PyObject* earlier = extras->interrupt.exchange(Py_NewRef(interrupted), sync::seq_cst);
    cell.deadline_.store(now + kAskAgain, sync::seq_cst);
    if (remote == nullptr) {
      PyThreadState_SetAsyncExc(cell.thread_id_.load(sync::relaxed), interrupted);
      cell.unlock_posted();
    } else {
      cell.unlock();
      remote->interrupt(&cell, future, "weft.errors", "Interrupted");
    }
    Py_XDECREF(earlier);
    return now + kAskAgain;
  }
  Py_INCREF(future->object());  // SAFETY: released below; the runner drops its own when it comes back
  Owned callable(Py_NewRef(future->call.callable));
  cell.deadline_.store(sync::kForever, sync::seq_cst);
  abandoned.fetch_add(1, sync::acq_rel);
  const bool stand_in = !in_caller && scheduler.begin_blocked();
  cell.unlock_taken();
  if (remote != nullptr) remote->interrupt(&cell, future, "weft.errors", "Interrupted");  // should it not have been reached yet
  if (future->traced != nullptr) trace_abandoned(future, cell, state);
  Owned name(task_name(future->options, callable.get(), state));
  settle(future, TaskState::failed, make_timeout_error(future, name.get(), state, nullptr, true));
  Py_DECREF(future->object());
  warn("task %s timed out inside a call that cannot be interrupted; its thread is left to finish by itself", name.get());
  if (stand_in) start_worker_quietly(this);
  return sync::kForever;
}

void leave_queue(Future* future) {
  if (!future->waits.exchange(false, sync::acq_rel)) return;  // a retry: it had left before
  PoolCore* core = future->pool;
  if (core->generation != fork_generation.load(sync::relaxed)) return;
  core->queue_length.fetch_sub(1, sync::seq_cst);
  sync::unpark_one(core->queue_length);
}

// ---- breaking and emptying ----------------------------------------------------------------------------------------

void settle_queued(PoolCore* core, PyObject* error) {
  TaskChain queued = core->scheduler.take_all();
  std::vector<Future*> delayed = core->take_delayed();
  const size_t held = delayed.size();
  while (Task* task = queued.take_first()) delayed.push_back(future_of(*task));
  for (Future* future : delayed) {
    int settled;
    if (error == nullptr) {
      settled = transition_to_settled(future, TaskState::pending, TaskState::cancelled, nullptr);
    } else if ((settled = transition_to_running(future) ? 1 : 0) == 1) {
      release_call(future);
      if (future->traced != nullptr) trace_unrun(future, trace::Outcome::failed, core->state);
      settle(future, TaskState::failed, Py_NewRef(error));
    }
    if (settled < 0) PyErr_WriteUnraisable(future->object());
    if (settled == 1) release_call(future);
    Py_DECREF(future->object());  // SAFETY: the queue's reference
  }
  for (size_t i = 0; i < held; ++i) core->scheduler.release_hold();
}

void break_pool(PoolCore* core, PyObject* error) {
  PyObject* nothing = nullptr;
  // The first reason stays.
  if (!core->broken_by.compare_exchange_strong(nothing, error, sync::seq_cst, sync::seq_cst)) return;
  Py_INCREF(error);
  core->gate.store(Gate::broken, sync::seq_cst);
  core->scheduler.begin_stop();
  settle_queued(core, error);
}

}  // namespace weft::core
