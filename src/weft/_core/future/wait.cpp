// Waiting for a Future: help if we can, spin briefly, then sleep.
//
// A worker that waits for a task of its own pool runs that task itself if it has not begun. Where it cannot (begun
// elsewhere, too deep, or its own task has a deadline that must not wait for another's) the pool may have one worker
// more while this one sleeps. So nested submission does not deadlock at any depth or pool size (invariant 5).
//
// The main thread sleeps in slices and looks for signals in between, and when a signal ends its sleep (invariant 4).
// A worker sleeps in slices too, and looks whether its own task was interrupted.

#include <algorithm>

#include "future/compose.hpp"
#include "pool/pool.hpp"
#include "sync/spin.hpp"

namespace weft::core {

namespace {

constexpr sync::Nanos kSlice = 50 * sync::kMillisecond;
constexpr int kDetachSpins = 50;  // about a microsecond
// Deeper than this a fresh thread, with a fresh stack and recursion limit, goes on.
constexpr int kHelpDepth = 32;

// Detached. True if it settled meanwhile.
bool spin(Future* future) {
  static const bool worth_it = std::thread::hardware_concurrency() > 1;
  thread_local sync::SpinBudget budget;
  return worth_it && budget.spin([&] { return future->settled(); });
}

// Detached. The worker that settled the Future still has the GIL, and lets go of it in an instant if it has nothing else
// to do; asking for it now would mean to sleep for it.
void let_worker_detach(Future* future) {
  RunCell* cell = kGil ? future->cell.load(sync::acquire) : nullptr;
  for (int i = 0; cell != nullptr && i < kDetachSpins && cell->attached_.load(sync::acquire); ++i) sync::cpu_relax();
}

int sleep_until_settled(Future* future, Nanos deadline, Executant* me) {
  State* state = state_of_type(Py_TYPE(future->object()));
  const bool main_thread = PyThread_get_thread_ident() == state->main_thread;
  PyThreadState* thread = PyEval_SaveThread();
  if (kGil) state->waiting.fetch_add(1, sync::relaxed);
  int outcome = 0;
  if (spin(future)) {
    let_worker_detach(future);
  } else {
    for (;;) {
      uint32_t seen = future->word.load(sync::acquire);
      if (word::settled(seen)) break;
      const Nanos time = deadline == sync::kForever && !main_thread && me == nullptr ? 0 : sync::now();
      if (time >= deadline) {
        outcome = 1;
        break;
      }
      if ((seen & word::kParked) == 0 &&
          !future->word.compare_exchange_weak(seen, seen | word::kParked, sync::seq_cst, sync::relaxed)) {
        continue;
      }
      const Nanos until = main_thread || me != nullptr ? std::min(deadline, time + kSlice) : deadline;
      (void)sync::park(future->word, seen | word::kParked, until);
      if (main_thread || (me != nullptr && me->cell->interrupt_posted())) {
        if (kGil) state->waiting.fetch_sub(1, sync::relaxed);
        PyEval_RestoreThread(thread);
        if (main_thread ? !future->settled() && PyErr_CheckSignals() < 0 : raise_if_interrupted(*me)) return -1;
        thread = PyEval_SaveThread();
        if (kGil) state->waiting.fetch_add(1, sync::relaxed);
      }
    }
  }
  if (kGil) state->waiting.fetch_sub(1, sync::relaxed);
  PyEval_RestoreThread(thread);
  return outcome;
}

bool can_help(const Executant& me, const Future* future) {
  // One that waits for its inputs is not to be run yet, and would be no help.
  if (me.core != future->pool || (future->word.load(sync::acquire) & word::kWaits) != 0 || me.depth >= kHelpDepth || me.cell->interrupt_posted()) return false;
  const TaskOptions* mine = me.current->options;
  return mine == nullptr || mine->timeout == sync::kForever;
}

// Runs `future` on top of the task that waits for it. False: an exception is set.
bool help(Executant& me, Future* future) {
  const RunCell::Suspended suspended = me.cell->suspend();
  execute(me, future);
  me.cell->resume(suspended);
  return !raise_if_interrupted(me);
}

}  // namespace

bool refuse_if_forked(Future* future) {
  if (future->generation == fork_generation.load(sync::relaxed)) return false;
  PyObject* type = error_class(state_of_type(Py_TYPE(future->object())), "PoolForked");
  if (type != nullptr) {
    PyErr_SetString(type,
                    "this future was submitted before os.fork(): its pool's threads run in the parent process only, so "
                    "it can never settle here; make a new pool in the child and submit again");
  }
  return true;
}

int wait_until_settled(Future* future, Nanos deadline) {
  if (refuse_if_forked(future) || !run_deferred(future)) return -1;
  if (future->settled()) return 0;
  Executant* me = current_worker();
  if (me != nullptr && me->current != nullptr && deadline == sync::kForever && future->state() == TaskState::pending &&
      can_help(*me, future)) {
    if (!help(*me, future)) return -1;
    if (future->settled()) return 0;
  }
  if (deadline == 0) return 1;
  if (me == nullptr) return sleep_until_settled(future, deadline, nullptr);
  if (me->core->scheduler.begin_blocked()) start_worker_quietly(me->core);
  const int outcome = sleep_until_settled(future, deadline, me);
  me->core->scheduler.end_blocked();
  return outcome;
}

PyObject* blocking(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count < 1) {
    PyErr_SetString(PyExc_TypeError, "blocking() takes a callable, and what to call it with");
    return nullptr;
  }
  Executant* me = current_worker();
  if (me == nullptr) return PyObject_Vectorcall(args[0], args + 1, static_cast<size_t>(count) - 1, nullptr);
  if (me->core->scheduler.begin_blocked()) start_worker_quietly(me->core);
  PyObject* result = PyObject_Vectorcall(args[0], args + 1, static_cast<size_t>(count) - 1, nullptr);
  me->core->scheduler.end_blocked();
  return result;
}

PyObject* wait_in_place(PyObject* module, PyObject* object) {
  auto* state = static_cast<State*>(PyModule_GetState(module));  // SAFETY: a function of weft._core's own table
  if (!PyObject_TypeCheck(object, state->future_type)) {
    PyErr_Format(PyExc_TypeError, "a weft.Future, not %R", object);
    return nullptr;
  }
  Future* future = as_future(object);
  if (refuse_if_forked(future)) return nullptr;
  if (!future->settled() && sleep_until_settled(future, sync::kForever, current_worker()) < 0) return nullptr;
  Py_RETURN_NONE;
}

}  // namespace weft::core
