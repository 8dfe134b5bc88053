// From a claimed task to a settled Future: what happens around the one call that matters.
//
// Frames here are on the stack while a task runs: no destructors (see Owned).

#include <algorithm>

#include "pool/pool.hpp"
#include "tracing/trace.hpp"

namespace weft::core {

namespace {

// How long a claimed task that runs on no thread is looked at for the thread that it will run on. Bounded: settle_queued()
// claims tasks too, and runs the destructors of their arguments meanwhile, which may wait for us or be us.
constexpr int kClaimSpins = 1000;

// A task sees the context that its submitter had, and what it sets is its own.
//
// A worker sits in an empty base context. A task submitted from an empty context runs right there, and the base is
// replaced if the task left something in it: so the usual task, which touches no context variable, pays for none.
PyObject* enter_context(Executant& x, Future* future) {
  PyObject* own;
  if (future->context != nullptr) {
    // A retry must not see what the first try set.
    own = future->options != nullptr && future->options->retries > 0 ? PyContext_Copy(future->context)
                                                                       : Py_NewRef(future->context);
  } else if (x.base_context != nullptr && x.depth == 0) {
    return nullptr;
  } else {
    own = PyContext_New();
  }
  if (own == nullptr || PyContext_Enter(own) < 0) {
    Py_XDECREF(own);
    return nullptr;
  }
  return own;
}

constexpr size_t kFewArgs = 8;

// The call of a task, through the pool's router if it is in use.
PyObject* call_of(PoolCore* core, Future* future) {
  const size_t count = future->arg_count;
  PyObject* const* args = future->call.args(count);
  if (!core->routing.load(sync::acquire)) {
    return PyObject_Vectorcall(future->call.callable, args, count - future->keywords, future->call.kwnames);
  }
  // SAFETY: room for count + 1 pointers, freed below; were the thread ended in the call, only that memory would be lost.
  PyObject* few[kFewArgs + 1];
  PyObject** all = count <= kFewArgs ? few : static_cast<PyObject**>(PyMem_Malloc((count + 1) * sizeof(PyObject*)));
  if (all == nullptr) return PyErr_NoMemory();
  all[0] = future->call.callable;
  std::copy_n(args, count, all + 1);
  PyObject* result = PyObject_Vectorcall(core->router, all, count + 1 - future->keywords, future->call.kwnames);
  if (all != few) PyMem_Free(all);
  return result;
}

}  // namespace

void leave_context(Executant& x, PyObject* own) {
  if (own != nullptr) {
    if (PyContext_Exit(own) < 0) PyErr_WriteUnraisable(own);
    Py_DECREF(own);
    return;
  }
  if (x.base_context == nullptr || Py_TYPE(x.base_context)->tp_as_mapping->mp_length(x.base_context) == 0) return;
  PyObject* fresh = PyContext_New();
  if (fresh == nullptr) {
    PyErr_WriteUnraisable(nullptr);
    return;
  }
  if (PyContext_Exit(x.base_context) < 0 || PyContext_Enter(fresh) < 0) PyErr_WriteUnraisable(fresh);
  Py_SETREF(x.base_context, fresh);
}

namespace {

bool should_retry(Future* future, PyObject* error, bool interrupted) {
  const TaskOptions* options = future->options;
  if (options == nullptr || options->retries == 0) return false;
  // Somebody asked this task to stop: that is not a failure to be repaired. (A timeout is one: it may go better.)
  if (interrupted && (future->word.load(sync::relaxed) & word::kTimedOut) == 0) return false;
  Extras* extras = extras_of(future);
  if (extras == nullptr) {
    PyErr_Clear();
    return false;
  }
  return extras->attempts < options->retries && PyErr_GivenExceptionMatches(error, options->retry_on);
}

void add_attempts_note(Future* future, PyObject* error) {
  Extras* extras = future->extras.load(sync::acquire);
  if (extras == nullptr || extras->attempts == 0) return;
  PyObject* note = PyUnicode_FromFormat("weft: failed %u times, and was tried no more", extras->attempts + 1);
  PyObject* added = note == nullptr ? nullptr : PyObject_CallMethod(error, "add_note", "O", note);
  if (added == nullptr) PyErr_Clear();
  Py_XDECREF(added);
  Py_XDECREF(note);
}

}  // namespace

void finish_task(const Ran& ran, Future* future, PyObject* result, PyObject* error, bool interrupted) {
  PoolCore* core = ran.core;
  // Once its time is up a task has failed, whatever it makes of the request to stop.
  if ((future->word.load(sync::acquire) & word::kTimedOut) != 0) {
    Py_CLEAR(result);
    PyObject* name = task_name(future->options, future->call.callable, core->state);
    error = make_timeout_error(future, name, core->state, error, false);
    Py_DECREF(name);
  }
  if (error == nullptr) {
    if (future->traced != nullptr) trace_ended(ran, future, trace::Outcome::done);
    release_call(future);
    settle(future, TaskState::done, result);
    return;
  }
  if (should_retry(future, error, interrupted) && !core->cancel_queued.load(sync::relaxed)) {
    Extras* extras = future->extras.load(sync::acquire);
    const sync::Nanos when = sync::deadline_after(backoff_before(*future->options, ++extras->attempts));
    Py_XDECREF(extras->interrupt.exchange(nullptr, sync::acq_rel));
    extras->started.store(0, sync::relaxed);
    if (future->traced != nullptr) trace_ended(ran, future, trace::Outcome::retried);
    Py_DECREF(error);
    if (core->in_caller) {  // the caller sees that it is pending again
      transition_to_pending(future);
      return;
    }
    core->scheduler.hold();
    Py_INCREF(future->object());  // SAFETY: given to run_later
    transition_to_pending(future);
    core->run_later(future, when);
    return;
  }
  add_attempts_note(future, error);
  if (future->traced != nullptr) trace_ended(ran, future, outcome_of_failure(future, error, interrupted, core->state));
  release_call(future);
  settle(future, TaskState::failed, error);
}

PyObject* make_timeout_error(Future* future, PyObject* name, State* state, PyObject* cause, bool stuck) {
  PyObject* type = error_class(state, "TaskTimeout");
  const double seconds = static_cast<double>(future->options->timeout) / 1e9;
  PyObject* shown = PyFloat_FromDouble(seconds);
  PyObject* message = shown == nullptr ? nullptr
                      : stuck ? PyUnicode_FromFormat("task %U ran for more than its timeout of %R s and is stuck in a call "
                                                     "that cannot be interrupted; its thread was abandoned until that "
                                                     "call returns (run such calls in processes to have them killed)",
                                                     name, shown)
                              : PyUnicode_FromFormat("task %U ran for more than its timeout of %R s and was stopped; give "
                                                     "it more with options(timeout=...)",
                                                     name, shown);
  PyObject* args = message == nullptr ? nullptr : PyTuple_Pack(1, message);
  PyObject* kwargs = args == nullptr ? nullptr : Py_BuildValue("{sOsOsO}", "task", name, "timeout", shown, "started", Py_True);
  PyObject* error = type == nullptr || kwargs == nullptr ? nullptr : PyObject_Call(type, args, kwargs);
  if (error == nullptr) error = PyErr_GetRaisedException();
  Py_XDECREF(kwargs);
  Py_XDECREF(args);
  Py_XDECREF(message);
  Py_XDECREF(shown);
  if (cause != nullptr) PyException_SetCause(error, cause);  // takes the reference over
  return error;
}

bool execute(Executant& x, Future* future) {
  RunCell& cell = *x.cell;
  const bool timed = future->options != nullptr && future->options->timeout != sync::kForever;
  sync::Nanos deadline = sync::kForever;
  if (timed) {
    // Before begin(): whoever locks the cell for this task then sees this task's deadline.
    deadline = sync::deadline_after(future->options->timeout);
    cell.deadline_.store(deadline, sync::seq_cst);
  }
  cell.begin(future->link);
  if (!transition_to_running(future)) {
    (void)cell.end();
    if (timed) cell.deadline_.store(sync::kForever, sync::seq_cst);
    return false;
  }
  future->cell.store(&cell, sync::release);
  if (timed) x.core->arm(deadline);
  if (future->traced != nullptr) trace_started(x, future);

  Future* outer = std::exchange(x.current, future);
  const bool outer_blocks = std::exchange(x.current_blocks, false);
  PyObject* own_context = enter_context(x, future);
  PyObject* result = nullptr;
  if (!PyErr_Occurred()) {
    ++x.depth;
    result = call_of(x.core, future);
    --x.depth;
  }
  PyObject* error = result == nullptr ? PyErr_GetRaisedException() : nullptr;
  leave_context(x, own_context);

  // From here on no interrupt meant for this task can be posted; one that was, and was not raised yet, is taken back.
  const RunCell::Outcome outcome = cell.end();
  if (timed) cell.deadline_.store(sync::kForever, sync::seq_cst);
  if (outcome.interrupted) PyThreadState_SetAsyncExc(cell.thread_id_.load(sync::relaxed), nullptr);
  x.current = outer;
  if (std::exchange(x.current_blocks, outer_blocks)) x.core->scheduler.end_blocked();

  if (outcome.taken) {  // the timer settled it long ago; we come back from the C call that it was stuck in
    Py_XDECREF(result);
    Py_XDECREF(error);
    release_call(future);
    x.core->abandoned.fetch_sub(1, sync::acq_rel);
    if (x.worker != nullptr) x.core->scheduler.end_blocked();
    return true;
  }
  finish_task({x.core, &cell, 0}, future, result, error, outcome.interrupted);
  return true;
}

bool raise_if_interrupted(Executant& x) {
  Future* current = x.current;
  if (current == nullptr) return false;
  Extras* extras = current->extras.load(sync::acquire);
  PyObject* asked = extras == nullptr ? nullptr : extras->interrupt.exchange(nullptr, sync::seq_cst);
  if (asked == nullptr) return false;
  if (x.cell->interrupt_posted()) PyThreadState_SetAsyncExc(x.cell->thread_id_.load(sync::relaxed), nullptr);
  PyErr_SetNone(asked);
  Py_DECREF(asked);
  return true;
}

namespace {

std::string text_of(PyObject* type, const char* attribute) {
  Owned text(PyObject_GetAttrString(type, attribute));
  const char* utf8 = text && PyUnicode_Check(text.get()) ? PyUnicode_AsUTF8(text.get()) : nullptr;
  if (utf8 == nullptr) PyErr_Clear();
  return utf8 == nullptr ? "" : utf8;
}

std::string module_of(PyObject* type) { return text_of(type, "__module__"); }
std::string name_of(PyObject* type) { return text_of(type, "__qualname__"); }

}  // namespace

int interrupt_task(Future* self, PyObject* exception_class) {
  for (int spins = 0;; ++spins) {
    if (self->state() != TaskState::running) return 0;
    RunCell* cell = self->cell.load(sync::acquire);
    if (cell == nullptr) {  // between two instructions of execute(), on another core; or it is being failed unrun
      if (spins >= kClaimSpins) return 0;
      sync::cpu_relax();
      continue;
    }
    Extras* extras = extras_of(self);
    if (extras == nullptr) return -1;
    // First the request, then the attempt: a runner that suspends this task for another sees the request when it comes
    // back to it (seq_cst on both sides: RunCell::resume, then raise_if_interrupted).
    Py_XDECREF(extras->interrupt.exchange(Py_NewRef(exception_class), sync::seq_cst));
    State* state = state_of_type(Py_TYPE(self->object()));
    // Null: it has ended meanwhile, and its pool with it.
    PoolCore* core = retain_if_live(state, self->pool, self->pool_tag);
    const bool remote = core != nullptr && core->remote != nullptr;
    if (remote) core->remote->interrupt(cell, self, module_of(exception_class), name_of(exception_class));
    if (core != nullptr) release(core);
    if (remote) return self->state() == TaskState::running ? 1 : 0;
    if (cell->lock(self->link)) {
      PyThreadState_SetAsyncExc(cell->thread_id_.load(sync::relaxed), exception_class);
      cell->unlock_posted();
      return 1;
    }
    return self->state() == TaskState::running ? 1 : 0;
  }
}

void block_until_task_ends(Future* future) {
  Executant* x = current_worker();
  if (x == nullptr || x->current == nullptr || x->current == future || x->current_blocks) return;
  x->current_blocks = true;
  if (x->core->scheduler.begin_blocked()) start_worker_quietly(x->core);
}

}  // namespace weft::core
