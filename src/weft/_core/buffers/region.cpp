#include "buffers/region.hpp"

#include <new>

#include "kernels/meeting.hpp"

namespace weft::core {

namespace {

using kernels::Loop;
using kernels::Meeting;

constexpr const char* kCapsule = "weft._core.meeting";
constexpr Nanos kBetweenSignals = 50 * sync::kMillisecond;
// How long a helper waits for an owner that is on its way: it may have to get its thread state back first. An owner that runs
// its own helper while it submits the next never comes.
constexpr Nanos kOwnerBeginsWithin = 50 * sync::kMillisecond;

void destroy_meeting(PyObject* capsule) {
  delete static_cast<Meeting*>(PyCapsule_GetPointer(capsule, kCapsule));  // SAFETY: owned by this capsule alone
}

// Detached: whether the task on this thread was asked to stop. Only looks; raise_if_interrupted takes it.
bool interrupted(const Executant* me) {
  if (me == nullptr || me->current == nullptr || !me->cell->interrupt_posted()) return false;
  const Extras* extras = me->current->extras.load(sync::acquire);
  return extras != nullptr && extras->interrupt.load(sync::acquire) != nullptr;
}

// help_region(meeting): the task of a helper. No destructors here, see Owned.
PyObject* help_region(PyObject*, PyObject* capsule) {
  // SAFETY: the capsule is an argument of this very task, which keeps it until we return.
  auto* meeting = static_cast<Meeting*>(PyCapsule_GetPointer(capsule, kCapsule));
  if (meeting == nullptr) return nullptr;
  const Executant* me = current_worker();
  PyThreadState* thread = PyEval_SaveThread();
  if (Loop* loop = meeting->enter(sync::now() + kOwnerBeginsWithin); loop != nullptr) {
    Loop::Share share;
    while (loop->step(share)) {
      // Between two chunks only: nobody else would finish this one.
      if (share.begin == share.end && interrupted(me)) break;
    }
    meeting->leave();
  }
  PyEval_RestoreThread(thread);
  Py_RETURN_NONE;
}

// Steps until nothing is left, without the thread state. False: stopped; on the main thread with an exception set.
bool work(Loop& loop, Meeting* meeting, const Executant* me, bool answers_signals) {
  PyThreadState* thread = PyEval_SaveThread();
  // Not before: where a thread gets its state back while Python ends, it may be ended itself, and the loop is on its stack.
  if (meeting != nullptr) meeting->open();
  Loop::Share share;
  Nanos look = answers_signals ? sync::now() + kBetweenSignals : sync::kForever;
  while (loop.step(share)) {
    if (interrupted(me)) {
      loop.stop();
    } else if (answers_signals && sync::now() >= look) {
      PyEval_RestoreThread(thread);
      if (PyErr_CheckSignals() < 0) loop.stop();
      thread = PyEval_SaveThread();
      look = sync::now() + kBetweenSignals;
    }
  }
  if (meeting != nullptr) meeting->close_and_wait();
  PyEval_RestoreThread(thread);
  return !loop.stopped();
}

// Takes the futures over: cancels helpers that have not begun. Keeps the exception that is set.
void dismiss(PyObject** futures, size_t count) {
  PyObject* error = PyErr_GetRaisedException();
  for (size_t i = 0; i < count; ++i) {
    PyObject* cancelled = PyObject_CallMethod(futures[i], "cancel", nullptr);
    if (cancelled == nullptr) PyErr_WriteUnraisable(futures[i]);  // it will find the meeting closed
    Py_XDECREF(cancelled);
    Py_DECREF(futures[i]);
  }
  PyErr_SetRaisedException(error);
}

}  // namespace

PoolTeam::PoolTeam(PyObject* module, PyObject* executor, PoolCore* core) : module_(module), executor_(executor), core_(core) {
  // More threads than CPUs would only get in each other's way.
  if (core != nullptr && !core->in_caller) size_ = std::max<size_t>(1, std::min(core->scheduler.max_workers(), core->cpus));
}

bool PoolTeam::run(Loop& loop) {
  auto* state = static_cast<State*>(PyModule_GetState(module_));
  // Elsewhere attaching may end the thread (Python 3.13, see Owned), which must not happen while helpers work.
  const bool answers_signals = state->interpreter == PyInterpreterState_Main() && PyThread_get_thread_ident() == state->main_thread;
  Executant* me = current_worker();
  size_t helpers = std::min(size_, loop.most_chunks());
  helpers = helpers == 0 ? 0 : helpers - 1;
  if (helpers > 0 && core_->max_pending != 0 && (me == nullptr || me->core != core_)) {
    // Helpers are worth having, not worth waiting for.
    const size_t waiting = core_->queue_length.load(sync::acquire);
    helpers = std::min(helpers, core_->max_pending > waiting ? core_->max_pending - waiting : 0);
  }
  bool whole;
  if (helpers == 0) {
    whole = work(loop, nullptr, me, answers_signals);
  } else {
    auto* meeting = new (std::nothrow) Meeting(loop);
    PyObject* capsule = meeting == nullptr ? PyErr_NoMemory() : PyCapsule_New(meeting, kCapsule, destroy_meeting);
    if (capsule == nullptr) {
      delete meeting;
      return false;
    }
    auto** futures = static_cast<PyObject**>(PyMem_Calloc(helpers, sizeof(PyObject*)));
    PyObject* help = PyObject_GetAttrString(module_, "help_region");
    size_t sent = 0;
    if (futures == nullptr) PyErr_NoMemory();
    while (futures != nullptr && help != nullptr && sent < helpers) {
      PyObject* future = PyObject_CallMethod(executor_, "submit", "OO", help, capsule);
      if (future == nullptr) break;
      futures[sent++] = future;
    }
    PyObject* error = PyErr_GetRaisedException();  // the pool was shut down under our feet, or there is no memory
    if (error != nullptr) loop.stop();
    whole = work(loop, meeting, me, answers_signals);
    if (error != nullptr) PyErr_SetRaisedException(error);
    dismiss(futures, sent);
    PyMem_Free(futures);
    Py_XDECREF(help);
    Py_DECREF(capsule);
  }
  if (whole) return true;
  // Not taken back by somebody else meanwhile: only the task's own thread takes what it was asked.
  if (!PyErr_Occurred() && (me == nullptr || !raise_if_interrupted(*me))) {
    PyErr_SetString(PyExc_RuntimeError, "weft: a loop was stopped for no reason; please report it");
  }
  return false;
}

PyMethodDef region_functions[] = {
    {"help_region", help_region, METH_O,
     "help_region($module, meeting, /)\n--\n\nTake part in a native loop. Internal: what kernels submit to a pool."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
