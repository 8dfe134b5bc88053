#include "future/future.hpp"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "future/compose.hpp"
#include "loops/awaiter.hpp"
#include "pool/pool.hpp"
#include "tracing/trace.hpp"

namespace weft::core {

Future* future_of(Task& task) {
  // SAFETY: every task that _core submits is the `link` of a Future.
  return reinterpret_cast<Future*>(reinterpret_cast<char*>(&task) - offsetof(Future, link));
}

// ---- making and unmaking ------------------------------------------------------------------------------------------

namespace {

// Two references, of which the second will be given up by another thread.
void add_reference_for_queue(PyObject* object) {
#ifdef Py_GIL_DISABLED
  // SAFETY: the object is new and known to this thread alone, so its counts may be set plainly. Counting the queue's
  // reference as shared lets a worker drop it with one atomic; counted as local it would go through the interpreter's
  // queue of objects to merge (PEP 703, "biased reference counting").
  _Py_atomic_store_ssize_relaxed(&object->ob_ref_shared, _Py_REF_SHARED(1, 0));
#else
  Py_INCREF(object);
#endif
}

}  // namespace

Future* new_future(State* state) {
  PyTypeObject* type = state->future_type;
  // Not tp_alloc, which would track it.
  PyObject* object = reinterpret_cast<PyObject*>(_PyObject_GC_New(type));
  if (object == nullptr) return nullptr;
  auto* self = as_future(object);
  std::memset(reinterpret_cast<char*>(self) + sizeof(PyObject), 0, sizeof(Future) - sizeof(PyObject));
  self->generation = fork_generation.load(sync::relaxed);
  add_reference_for_queue(object);
  return self;
}

bool fill_call(Future* self, PyObject* const* args, size_t positional, PyObject* kwnames) {
  const size_t keywords = kwnames == nullptr ? 0 : static_cast<size_t>(PyTuple_GET_SIZE(kwnames));
  const size_t count = positional - 1 + keywords;
  if (count > UINT16_MAX) {
    PyErr_SetString(PyExc_TypeError, "a task takes at most 65535 arguments; pass a list instead");
    return false;
  }
  if (count > kInlineArgs) {
    auto** many = static_cast<PyObject**>(PyMem_Malloc(count * sizeof(PyObject*)));
    if (many == nullptr) {
      PyErr_NoMemory();
      return false;
    }
    self->call.many = many;
  }
  self->arg_count = static_cast<uint16_t>(count);
  self->keywords = static_cast<uint16_t>(keywords);
  PyObject** into = self->call.args(count);
  for (size_t i = 0; i < count; ++i) into[i] = Py_NewRef(args[i + 1]);
  self->call.kwnames = keywords == 0 ? nullptr : Py_NewRef(kwnames);
  self->call.callable = Py_NewRef(args[0]);
#ifdef Py_GIL_DISABLED
  // Here the collector walks the whole heap, tracked or not, and bases how often it does so on what is tracked: a
  // million untracked futures would be walked over with every few thousand that are added.
  PyObject_GC_Track(self->object());
#endif
  return true;
}

// The destructors of the arguments run here: arbitrary code, so everything is moved out of the Future first.
void release_call(Future* self) {
  PyObject* callable = std::exchange(self->call.callable, nullptr);
  PyObject* kwnames = std::exchange(self->call.kwnames, nullptr);
  PyObject* context = std::exchange(self->context, nullptr);
  const size_t count = std::exchange(self->arg_count, uint16_t{0});
  if (count > kInlineArgs) {
    PyObject** many = std::exchange(self->call.many, nullptr);
    for (size_t i = 0; i < count; ++i) Py_DECREF(many[i]);
    PyMem_Free(many);
  } else {
    PyObject* few[kInlineArgs] = {};
    for (size_t i = 0; i < count; ++i) few[i] = std::exchange(self->call.few[i], nullptr);
    for (size_t i = 0; i < count; ++i) Py_DECREF(few[i]);
  }
  Py_XDECREF(kwnames);
  Py_XDECREF(context);
  Py_XDECREF(callable);
}

Extras* extras_of(Future* self) {
  Extras* extras = self->extras.load(sync::acquire);
  if (extras != nullptr) return extras;
  auto* fresh = new (std::nothrow) Extras;
  if (fresh == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  if (self->extras.compare_exchange_strong(extras, fresh, sync::acq_rel, sync::acquire)) return fresh;
  delete fresh;
  return extras;
}

// Lets the collector know of it: from now on it can be part of a cycle.
void track(Future* self) {
  PyObject* object = self->object();
  if (PyObject_GC_IsTracked(object)) return;
  Py_BEGIN_CRITICAL_SECTION(object);
  if (!PyObject_GC_IsTracked(object)) PyObject_GC_Track(object);
  Py_END_CRITICAL_SECTION();
}

namespace {

void free_callbacks(CallbackNode* node) {
  while (node != nullptr && node != kClosedCallbacks) {
    CallbackNode* next = node->next;
    Py_DECREF(node->callable);
    PyMem_Free(node);
    node = next;
  }
}

int future_traverse(PyObject* object, visitproc visit, void* arg) {
  Future* self = as_future(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->call.callable);
  Py_VISIT(self->call.kwnames);
  PyObject** args = self->call.args(self->arg_count);
  for (size_t i = 0; i < self->arg_count; ++i) Py_VISIT(args[i]);
  Py_VISIT(self->outcome);
  Py_VISIT(self->context);
  Py_VISIT(reinterpret_cast<PyObject*>(self->options));
  CallbackNode* node = self->callbacks.load(sync::relaxed);
  for (; node != nullptr && node != kClosedCallbacks; node = node->next) Py_VISIT(node->callable);
  if (Extras* extras = self->extras.load(sync::relaxed); extras != nullptr) {
    Py_VISIT(extras->condition.load(sync::relaxed));
    Py_VISIT(extras->waiters.load(sync::relaxed));
    Py_VISIT(extras->interrupt.load(sync::relaxed));
  }
  return PyObject_VisitManagedDict(object, visit, arg);
}

int future_clear(PyObject* object) {
  Future* self = as_future(object);
  release_call(self);
  Py_CLEAR(self->outcome);
  CallbackNode* node = self->callbacks.exchange(nullptr, sync::acq_rel);
  free_callbacks(node);
  if (Extras* extras = self->extras.load(sync::acquire); extras != nullptr) {
    Py_XDECREF(extras->condition.exchange(nullptr, sync::acq_rel));
    Py_XDECREF(extras->waiters.exchange(nullptr, sync::acq_rel));
    Py_XDECREF(extras->interrupt.exchange(nullptr, sync::acq_rel));
  }
  PyObject_ClearManagedDict(object);
  return 0;
}

void future_dealloc(PyObject* object) {
  Future* self = as_future(object);
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  Py_TRASHCAN_BEGIN(object, future_dealloc);
  PyObject_ClearWeakRefs(object);
  future_clear(object);
  Py_CLEAR(self->options);
  if (self->counted) release(self->pool);
  if (Extras* extras = self->extras.load(sync::relaxed); extras != nullptr) {
    leave_join(extras);
    delete extras;
  }
  if (self->traced != nullptr) end_traced(self);
  PyObject_GC_Del(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
  Py_TRASHCAN_END;
}

int future_setattro(PyObject* object, PyObject* name, PyObject* value) {
  track(as_future(object));
  return PyObject_GenericSetAttr(object, name, value);
}

}  // namespace

// ---- transitions --------------------------------------------------------------------------------------------------

bool transition_to_running(Future* self) {
  uint32_t seen = self->word.load(sync::relaxed);
  while (word::state(seen) == TaskState::pending) {
    if (self->word.compare_exchange_weak(seen, word::with(seen, TaskState::running), sync::acq_rel, sync::relaxed)) {
      if (self->counted) leave_queue(self);
      return true;
    }
  }
  return false;
}

void transition_to_pending(Future* self) {
  self->cell.store(nullptr, sync::release);
  uint32_t seen = self->word.load(sync::relaxed);
  while (!self->word.compare_exchange_weak(seen, word::with(seen, TaskState::pending) & ~word::kTimedOut, sync::acq_rel,
                                           sync::relaxed)) {
  }
}

// Futures that have settled on this thread while the callbacks of another one ran, and have their turn after it.
struct Cascade {
  State* state;  // a thread may run code of several interpreters, each with a cascade of its own
  std::vector<Future*> waiting;  // strong; those before `next` have had their turn
  size_t next = 0;
};

namespace {

// Ctrl-C that comes while a callback runs is not the callback's: it is raised once more, when the caller is out of here.
bool is_interrupt(State* state) {
  if (!PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) return false;
  if (state->interpreter != PyInterpreterState_Main() || PyThread_get_thread_ident() != state->main_thread) return false;
  PyErr_Clear();
  PyErr_SetInterrupt();
  return true;
}

void log_callback_error(PyObject* future) {
  // The words and the logger are the stdlib's, so that filters and tests made for it hold.
  Owned error(PyErr_GetRaisedException());
  Owned logging(PyImport_ImportModule("logging"));
  Owned logger(logging ? PyObject_CallMethod(logging.get(), "getLogger", "s", "concurrent.futures") : nullptr);
  Owned method(logger ? PyObject_GetAttrString(logger.get(), "error") : nullptr);
  Owned args(Py_BuildValue("(sO)", "exception calling callback for %r", future));
  Owned kwargs(Py_BuildValue("{sO}", "exc_info", error.get()));
  Owned logged(method && args && kwargs ? PyObject_Call(method.get(), args.get(), kwargs.get()) : nullptr);
  if (!logged) PyErr_WriteUnraisable(future);
}

void call_callback(Future* self, PyObject* callable, State* state) {
  Owned returned(PyObject_CallOneArg(callable, self->object()));
  if (!returned && !is_interrupt(state)) log_callback_error(self->object());
}

thread_local Cascade* this_cascade = nullptr;

// Takes the nodes over.
void call_all(Future* self, State* state, Cascade* cascade, CallbackNode* newest) {
  CallbackNode* oldest = nullptr;
  while (newest != nullptr && newest != kClosedCallbacks) {  // they run in the order in which they were added
    CallbackNode* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  while (oldest != nullptr) {
    CallbackNode* next = oldest->next;
    PyObject* callable = oldest->callable;
    PyMem_Free(oldest);
    if (Py_IS_TYPE(callable, state->future_type)) {
      this_cascade = cascade;
      input_settled(as_future(callable), self);
      this_cascade = nullptr;
    } else {
      call_callback(self, callable, state);
    }
    Py_DECREF(callable);
    oldest = next;
  }
}

void run_own_callbacks(Future* self, State* state, Cascade* cascade) {
  call_all(self, state, cascade, self->callbacks.exchange(kClosedCallbacks, sync::acq_rel));
}

void drain(Cascade& cascade) {
  while (cascade.next < cascade.waiting.size()) {
    Future* future = cascade.waiting[cascade.next++];
    if (cascade.next == cascade.waiting.size()) {  // so a chain of any length takes one place
      cascade.waiting.clear();
      cascade.next = 0;
    }
    run_own_callbacks(future, cascade.state, &cascade);
    Py_DECREF(future->object());  // SAFETY: the cascade's reference
  }
}

void run_callbacks(Future* self, State* state, Callbacks when) {
  if (self->callbacks.load(sync::acquire) == nullptr) {
    CallbackNode* none = nullptr;
    if (self->callbacks.compare_exchange_strong(none, kClosedCallbacks, sync::acq_rel, sync::acquire)) return;
  }
  Cascade* outer = this_cascade;
  if (when == Callbacks::in_turn && outer != nullptr && outer->state == state) {
    outer->waiting.push_back(as_future(Py_NewRef(self->object())));
    return;
  }
  Cascade cascade{state, {}, 0};
  this_cascade = nullptr;
  run_own_callbacks(self, state, &cascade);
  drain(cascade);
  this_cascade = outer;
}

}  // namespace

int add_callback(Future* self, PyObject* callable) {
  if (!start_deferred(self)) return -1;
  CallbackNode* newest = self->callbacks.load(sync::acquire);
  // Settled comes a moment before closed: who has seen the result must not find its callback left to the worker.
  if (newest == kClosedCallbacks || self->settled()) return 0;
  auto* node = static_cast<CallbackNode*>(PyMem_Malloc(sizeof(CallbackNode)));
  if (node == nullptr) {
    PyErr_NoMemory();
    return -1;
  }
  node->callable = Py_NewRef(callable);
  while (newest != kClosedCallbacks) {
    node->next = newest;
    if (self->callbacks.compare_exchange_weak(newest, node, sync::acq_rel, sync::acquire)) return 1;
  }
  Py_DECREF(node->callable);
  PyMem_Free(node);
  return 0;
}

void sweep_continuations(Future* self) {
  // One at a time: two who put nodes back would mix up their order.
  if ((self->word.fetch_or(word::kSwept, sync::acq_rel) & word::kSwept) != 0) return;
  State* state = state_of_type(Py_TYPE(self->object()));
  CallbackNode* kept = nullptr;
  CallbackNode* dead = nullptr;
  CallbackNode* seen = self->callbacks.load(sync::acquire);
  while (seen != nullptr && seen != kClosedCallbacks) {
    if (!self->callbacks.compare_exchange_weak(seen, nullptr, sync::acq_rel, sync::acquire)) continue;
    // Newer than what was taken before: those alive go on top of it.
    CallbackNode** end = &seen;
    while (CallbackNode* node = *end) {
      if (Py_IS_TYPE(node->callable, state->future_type) && as_future(node->callable)->settled()) {
        *end = node->next;
        node->next = dead;
        dead = node;
      } else {
        end = &node->next;
      }
    }
    *end = kept;
    kept = seen;
    seen = nullptr;
    if (kept == nullptr || self->callbacks.compare_exchange_strong(seen, kept, sync::acq_rel, sync::acquire)) {
      kept = nullptr;
      break;
    }
  }
  self->word.fetch_and(~word::kSwept, sync::acq_rel);
  if (kept != nullptr) {  // it settled meanwhile, and found nothing to call
    Cascade* outer = std::exchange(this_cascade, nullptr);
    Cascade cascade{state, {}, 0};
    call_all(self, state, &cascade, kept);
    drain(cascade);
    this_cascade = outer;
  }
  free_callbacks(dead);
}

Cascade* pause_cascade() { return std::exchange(this_cascade, nullptr); }

void resume_cascade(Cascade* cascade) { this_cascade = cascade; }

bool add_continuation(Future* self, Future* target) {
  const int pushed = add_callback(self, target->object());
  if (pushed == 0) input_settled(target, self);
  return pushed >= 0;
}

int transition_to_settled(Future* self, TaskState from, TaskState to, PyObject* outcome, Callbacks when) {
  State* state = state_of_type(Py_TYPE(self->object()));
  // Before publishing: afterwards other threads may hold the last references.
  if (outcome != nullptr && PyObject_IS_GC(outcome)) track(self);
  uint32_t seen = self->word.load(sync::acquire);
  bool locked = false;
  for (;;) {
    if (word::state(seen) != from) {
      if (locked) notify_and_unlock_condition(self, state, TaskState::pending);
      return 0;
    }
    if ((seen & word::kReal) != 0 && !locked) {
      if (!lock_condition(self, state)) return -1;
      locked = true;
      seen = self->word.load(sync::acquire);
      continue;
    }
    if (outcome != nullptr) self->outcome = outcome;  // ours to write: nobody but the runner settles from `running`
    if (self->word.compare_exchange_weak(seen, word::with(seen, to) & ~word::kParked, sync::seq_cst, sync::acquire)) break;
  }
  if (self->counted && from == TaskState::pending) leave_queue(self);
  if (self->traced != nullptr && from == TaskState::pending) trace_unrun(self, trace::Outcome::cancelled, state);
  if ((seen & word::kParked) != 0) {
    // Not after callbacks, which may take their time.
    unpark_waiters(self->word, !locked && self->callbacks.load(sync::acquire) == nullptr);
  }
  if (locked) notify_and_unlock_condition(self, state, to);
  run_callbacks(self, state, when);
  return 1;
}

void settle(Future* self, TaskState to, PyObject* outcome, Callbacks when) {
  // Only an exception raised while taking the stdlib's lock can get in the way: report it and go on.
  int settled;
  while ((settled = transition_to_settled(self, TaskState::running, to, outcome, when)) < 0) PyErr_WriteUnraisable(self->object());
  if (settled == 0) Py_FatalError("weft: a running task was settled twice");
}

// ---- methods ------------------------------------------------------------------------------------------------------

PyObject* task_name(TaskOptions* options, PyObject* callable, State* state) {
  if (options != nullptr && options->name != nullptr) return Py_NewRef(options->name);
  PyObject* name = nullptr;
  if (callable != nullptr && PyObject_GetOptionalAttr(callable, state->str_qualname, &name) < 0) PyErr_Clear();
  if (name != nullptr && PyUnicode_Check(name)) return name;
  Py_XDECREF(name);
  name = callable == nullptr ? nullptr : PyObject_Repr(callable);
  if (name != nullptr) return name;
  PyErr_Clear();
  return Py_NewRef(state->str_unnamed);
}

namespace {

PyObject* take_outcome(Future* self, bool want_exception) {
  State* state = state_of_type(Py_TYPE(self->object()));
  switch (self->state()) {
    case TaskState::cancelled:
      PyErr_SetNone(state->cancelled_error);
      return nullptr;
    case TaskState::failed:
      if (want_exception) return Py_NewRef(self->outcome);
      PyErr_SetRaisedException(Py_NewRef(self->outcome));
      return nullptr;
    default:
      return want_exception ? Py_NewRef(Py_None) : Py_NewRef(self->outcome);
  }
}

// A timeout, or -1.0 with an exception set.
double seconds_of(PyObject* timeout) {
  const double seconds = PyFloat_AsDouble(timeout);
  if (std::isnan(seconds) || (seconds == -1.0 && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_TypeError))) {
    PyErr_Clear();
    PyErr_Format(std::isnan(seconds) ? PyExc_ValueError : PyExc_TypeError,
                 "timeout must be a number of seconds or None, not %R", timeout);
    return -1.0;
  }
  return seconds;
}

PyObject* wait_for_outcome(PyObject* object, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames,
                           const char* method, bool want_exception) {
  Future* self = as_future(object);
  const Py_ssize_t keywords = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  if (nargs + keywords > 1 ||
      (keywords == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "timeout") != 0)) {
    PyErr_Format(PyExc_TypeError, "%s() takes one optional argument, 'timeout' (seconds)", method);
    return nullptr;
  }
  Nanos deadline = sync::kForever;
  if (!self->settled()) {
    if (nargs + keywords == 1 && args[0] != Py_None) {
      const double seconds = seconds_of(args[0]);
      if (seconds == -1.0 && PyErr_Occurred()) return nullptr;
      deadline = seconds > 0 ? (seconds < 1e9 ? sync::deadline_after(static_cast<Nanos>(seconds * 1e9)) : sync::kForever) : 0;
    }
    const int waited = wait_until_settled(self, deadline);
    if (waited < 0) return nullptr;
    if (waited > 0) {
      PyErr_SetNone(PyExc_TimeoutError);
      return nullptr;
    }
  }
  return take_outcome(self, want_exception);
}

PyObject* future_result(PyObject* object, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  return wait_for_outcome(object, args, nargs, kwnames, "result", false);
}

PyObject* future_exception(PyObject* object, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  return wait_for_outcome(object, args, nargs, kwnames, "exception", true);
}

PyObject* future_cancel(PyObject* object, PyObject*) {
  Future* self = as_future(object);
  const int cancelled = transition_to_settled(self, TaskState::pending, TaskState::cancelled, nullptr);
  if (cancelled < 0) return nullptr;
  if (cancelled == 1) {
    release_call(self);
    leave_join(self->extras.load(sync::acquire));
    Py_RETURN_TRUE;
  }
  return PyBool_FromLong(self->state() == TaskState::cancelled);
}

PyObject* future_cancelled(PyObject* object, PyObject*) {
  return PyBool_FromLong(as_future(object)->state() == TaskState::cancelled);
}

PyObject* future_running(PyObject* object, PyObject*) {
  return PyBool_FromLong(as_future(object)->state() == TaskState::running);
}

PyObject* future_done(PyObject* object, PyObject*) { return PyBool_FromLong(as_future(object)->settled()); }

PyObject* future_add_done_callback(PyObject* object, PyObject* callable) {
  Future* self = as_future(object);
  State* state = state_of_type(Py_TYPE(object));
  if (Py_IS_TYPE(callable, state->future_type)) {
    PyErr_SetString(PyExc_TypeError, "add_done_callback(): fn must be callable, not a Future; see then() and when_all()");
    return nullptr;
  }
  const int pushed = add_callback(self, callable);
  if (pushed < 0) return nullptr;
  if (pushed == 0) call_callback(self, callable, state);
  Py_RETURN_NONE;
}

PyObject* future_interrupt(PyObject* object, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  const Py_ssize_t keywords = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  if (nargs + keywords > 1 ||
      (keywords == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "exc") != 0)) {
    PyErr_SetString(PyExc_TypeError, "interrupt() takes one optional argument, 'exc' (an exception class)");
    return nullptr;
  }
  PyObject* exception = nargs + keywords == 1 ? args[0] : error_class(state_of_type(Py_TYPE(object)), "Interrupted");
  if (exception == nullptr) return nullptr;
  if (!PyExceptionClass_Check(exception)) {
    PyErr_Format(PyExc_TypeError, "interrupt(): 'exc' must be an exception class, not %R; pass the class, not an instance",
                 exception);
    return nullptr;
  }
  const int asked = interrupt_task(as_future(object), exception);
  return asked < 0 ? nullptr : PyBool_FromLong(asked);
}

PyObject* refuse(const char* method) {
  PyErr_Format(PyExc_RuntimeError,
               "Future.%s() is for executors: the state of a weft future belongs to the pool that runs its task; "
               "make a concurrent.futures.Future() to settle one yourself",
               method);
  return nullptr;
}

PyObject* future_set_result(PyObject*, PyObject*) { return refuse("set_result"); }
PyObject* future_set_exception(PyObject*, PyObject*) { return refuse("set_exception"); }
PyObject* future_set_running(PyObject*, PyObject*) { return refuse("set_running_or_notify_cancel"); }

// What newer asyncio reads in one go: (done, cancelled, result, exception).
PyObject* future_get_snapshot(PyObject* object, PyObject*) {
  Future* self = as_future(object);
  const TaskState state = self->state();
  const bool settled = state >= TaskState::cancelled;
  return Py_BuildValue("(OOOO)", settled ? Py_True : Py_False, state == TaskState::cancelled ? Py_True : Py_False,
                       state == TaskState::done ? self->outcome : Py_None,
                       state == TaskState::failed ? self->outcome : Py_None);
}

PyObject* future_await(PyObject* object) {
  return await_source(object, SourceKind::future, state_of_type(Py_TYPE(object)));
}

PyObject* future_repr(PyObject* object) {
  Future* self = as_future(object);
  switch (self->state()) {
    case TaskState::pending:
      return PyUnicode_FromFormat("<Future at %p state=pending>", object);
    case TaskState::running:
      return PyUnicode_FromFormat("<Future at %p state=running>", object);
    case TaskState::cancelled:
      return PyUnicode_FromFormat("<Future at %p state=cancelled>", object);
    case TaskState::done:
      return PyUnicode_FromFormat("<Future at %p state=finished returned %s>", object, Py_TYPE(self->outcome)->tp_name);
    case TaskState::failed:
      break;
  }
  return PyUnicode_FromFormat("<Future at %p state=finished raised %s>", object, Py_TYPE(self->outcome)->tp_name);
}

PyObject* future_new(PyTypeObject*, PyObject*, PyObject*) {
  PyErr_SetString(PyExc_TypeError, "weft.Future cannot be made by hand: executors return them from submit()");
  return nullptr;
}

PyMethodDef future_methods[] = {
    {"result", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(future_result)), METH_FASTCALL | METH_KEYWORDS,
     "result($self, /, timeout=None)\n--\n\n"
     "Wait for the task and return its result.\n\n"
     "Args:\n    timeout: seconds to wait; None waits for as long as it takes.\n\n"
     "Raises:\n    TimeoutError: not done in time; the task goes on.\n"
     "    concurrent.futures.CancelledError: it was cancelled.\n"
     "    BaseException: whatever the task raised."},
    {"exception", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(future_exception)),
     METH_FASTCALL | METH_KEYWORDS,
     "exception($self, /, timeout=None)\n--\n\n"
     "Wait for the task and return the exception that it raised, or None.\n\n"
     "Args:\n    timeout: seconds to wait; None waits for as long as it takes.\n\n"
     "Raises:\n    TimeoutError: not done in time; the task goes on.\n"
     "    concurrent.futures.CancelledError: it was cancelled."},
    {"cancel", future_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nCancel the task if it has not begun. True if it is cancelled now.\n\n"
     "A running task is stopped with interrupt()."},
    {"cancelled", future_cancelled, METH_NOARGS, "cancelled($self, /)\n--\n\nTrue if the task was cancelled."},
    {"running", future_running, METH_NOARGS, "running($self, /)\n--\n\nTrue while the task runs."},
    {"done", future_done, METH_NOARGS, "done($self, /)\n--\n\nTrue once the task has a result, failed or was cancelled."},
    {"add_done_callback", future_add_done_callback, METH_O,
     "add_done_callback($self, fn, /)\n--\n\n"
     "Call fn(self) when done: on the worker, in order of registration; at once, here, if already done.\n\n"
     "An exception in a callback is logged on 'concurrent.futures' and swallowed."},
    {"then", future_then, METH_O,
     "then($self, fn, /)\n--\n\n"
     "Call fn(self) when this future has a result; the Future of what that returns.\n\n"
     "It is a task of the same pool: as long as that takes tasks, or this one is unfinished; of the default pool otherwise.\n"
     "If this future fails or is cancelled fn is not called, and the new future ends in the same way.\n\n"
     "Args:\n    fn: called with this future, whose result is there.\n\n"
     "Raises:\n    TypeError: fn is not callable.\n    RuntimeError: there is no pool left to run it.\n\n"
     "Example:\n"
     "    >>> import weft\n"
     "    >>> weft.async_(pow, 2, 5).then(lambda power: power.result() + 1).result()\n"
     "    33"},
    {"share", future_share, METH_NOARGS, "share($self, /)\n--\n\nThis future: it can be waited for by any number of threads."},
    {"interrupt", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(future_interrupt)),
     METH_FASTCALL | METH_KEYWORDS,
     "interrupt($self, /, exc=weft.errors.Interrupted)\n--\n\n"
     "Raise an exception in the running task, at its next bytecode. False if it is not running.\n\n"
     "A task that is inside a C call gets it when the call returns.\n\n"
     "Args:\n    exc: the exception class to raise there.\n\n"
     "Raises:\n    TypeError: exc is not an exception class."},
    {"set_result", future_set_result, METH_O, "set_result($self, result, /)\n--\n\nRaises RuntimeError: the pool's."},
    {"set_exception", future_set_exception, METH_O,
     "set_exception($self, exception, /)\n--\n\nRaises RuntimeError: the pool's."},
    {"set_running_or_notify_cancel", future_set_running, METH_NOARGS,
     "set_running_or_notify_cancel($self, /)\n--\n\nRaises RuntimeError: the pool's."},
    {"_get_snapshot", future_get_snapshot, METH_NOARGS, "(done, cancelled, result, exception), for asyncio."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot future_slots[] = {
    {Py_tp_doc, const_cast<char*>("A task's future: a concurrent.futures.Future that can also interrupt its task.\n\n"
                                  "Returned by submit(); its state belongs to the pool.\n\n"
                                  "Example:\n"
                                  "    >>> from weft.executors import ThreadPoolExecutor\n"
                                  "    >>> with ThreadPoolExecutor(1) as pool:\n"
                                  "    ...     future = pool.submit(pow, 2, 10)\n"
                                  "    ...     future.result(timeout=10)\n"
                                  "    1024")},
    {Py_tp_new, reinterpret_cast<void*>(future_new)},
    {Py_tp_repr, reinterpret_cast<void*>(future_repr)},
    {Py_tp_traverse, reinterpret_cast<void*>(future_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(future_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(future_dealloc)},
    {Py_tp_setattro, reinterpret_cast<void*>(future_setattro)},
    {Py_am_await, reinterpret_cast<void*>(future_await)},
    {Py_tp_methods, future_methods},
    {Py_tp_getset, stdlib_getset},
    {0, nullptr},
};

}  // namespace

PyType_Spec future_spec = {
    "weft._core.Future",
    sizeof(Future),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    future_slots,
};

}  // namespace weft::core
