// See awaiter.hpp.

#include "loops/awaiter.hpp"

#include <cstddef>

#include "loops/mailbox.hpp"
#include "pool/pool.hpp"

namespace weft::core {

namespace {

// How often stopping is tried while the task changes between waiting and running under us, as a retry does.
constexpr int kStopAttempts = 16;

bool waits(WaitState state) { return state == WaitState::waiting || state == WaitState::delivered; }

// ---- the source ---------------------------------------------------------------------------------------------------

// What an awaiting task gets for a cancelled future: its own library's error, as asyncio's own futures raise it.
PyObject* cancelled_error(Awaiter* self, State* state) {
  if (self->inbox != nullptr && as_inbox(self->inbox)->kind == LoopKind::trio) return Py_NewRef(state->cancelled_error);
  PyObject* loop = running_asyncio_loop(state);
  if (loop == nullptr) return nullptr;
  const bool asyncio = loop != Py_None;
  Py_DECREF(loop);
  if (!asyncio) return Py_NewRef(state->cancelled_error);
  PyObject* exceptions = PyImport_ImportModule("asyncio.exceptions");
  PyObject* error = exceptions == nullptr ? nullptr : PyObject_GetAttrString(exceptions, "CancelledError");
  Py_XDECREF(exceptions);
  return error;
}

void raise_cancelled(Awaiter* self, State* state) {
  PyObject* type = cancelled_error(self, state);
  if (type == nullptr) return;
  PyObject* error = self->message == nullptr ? PyObject_CallNoArgs(type) : PyObject_CallOneArg(type, self->message);
  Py_DECREF(type);
  if (error != nullptr) PyErr_SetRaisedException(error);
}

// The result, new; or null with its exception set.
PyObject* outcome_of(Awaiter* self, State* state) {
  switch (self->kind) {
    case SourceKind::mailbox:
      return Py_NewRef(Py_None);
    case SourceKind::foreign: {
      PyObject* result = PyObject_CallMethodNoArgs(self->source, state->str_result);
      if (result == nullptr && PyErr_ExceptionMatches(state->cancelled_error)) {
        PyErr_Clear();
        raise_cancelled(self, state);
      }
      return result;
    }
    case SourceKind::future:
      break;
  }
  Future* future = as_future(self->source);
  switch (future->state()) {
    case TaskState::cancelled:
      raise_cancelled(self, state);
      return nullptr;
    case TaskState::failed:
      PyErr_SetRaisedException(Py_NewRef(future->outcome));
      return nullptr;
    default:
      return Py_NewRef(future->outcome);
  }
}

// 1: done; 0: not yet; -1: an exception is set.
int is_done(Awaiter* self, State* state) {
  if (self->kind == SourceKind::future) {
    Future* future = as_future(self->source);
    return future->settled() ? 1 : refuse_if_forked(future) ? -1 : 0;
  }
  if (self->kind == SourceKind::mailbox) return 0;  // begin() asks
  PyObject* done = PyObject_CallMethodNoArgs(self->source, state->str_done);
  const int truth = done == nullptr ? -1 : PyObject_IsTrue(done);
  Py_XDECREF(done);
  return truth;
}

// Registers with the source. 1: it waits; 0: the source is done already; -1: an exception is set. Takes a new reference
// to the inbox over.
int begin(Awaiter* self, PyObject* inbox, State* state) {
  Py_XSETREF(self->inbox, inbox);
  self->state.store(WaitState::waiting, sync::release);
  switch (self->kind) {
    case SourceKind::mailbox:
      if (!wait_for_mail(as_mailbox(self->source), self)) return 1;
      break;
    case SourceKind::foreign: {
      PyObject* added = PyObject_CallMethodOneArg(self->source, state->str_add_done_callback, self->object());
      Py_XDECREF(added);
      if (added != nullptr) return 1;  // done already: it has been delivered, which is as good
      self->state.store(WaitState::cancelled, sync::release);
      return -1;
    }
    case SourceKind::future: {
      Future* future = as_future(self->source);
      // A loop that runs inside of a task keeps that task's worker busy while it waits (invariant 5).
      block_until_task_ends(future);
      begin_await(future);
      const int added = add_callback(future, self->object());
      if (added != 0) return added;
      break;
    }
  }
  self->state.store(WaitState::woken, sync::release);
  return 0;
}

// ---- as an iterator -------------------------------------------------------------------------------------------------

// What the await evaluates to: ends the iteration with a value. (No exception set ends it with None.)
PyObject* stop_iteration(PyObject* value) {
  if (value == Py_None) {
    Py_DECREF(value);
  } else if (value != nullptr) {
    // Not PyErr_SetObject(StopIteration, value): a tuple would be taken for its arguments.
    PyObject* stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    Py_DECREF(value);
    if (stop != nullptr) PyErr_SetRaisedException(stop);
  }
  return nullptr;
}

PyObject* refuse_without_loop() {
  PyErr_SetString(PyExc_RuntimeError,
                  "a weft future is awaited where neither asyncio nor trio runs; use asyncio.run(...) or trio.run(...), or "
                  "wait for it with result()");
  return nullptr;
}

PyObject* awaiter_next(PyObject* object) {
  Awaiter* self = as_awaiter(object);
  State* state = state_of_type(Py_TYPE(object));
  switch (self->state.load(sync::acquire)) {
    case WaitState::woken:
      return stop_iteration(outcome_of(self, state));
    case WaitState::cancelled:
      raise_cancelled(self, state);
      return nullptr;
    case WaitState::waiting:
    case WaitState::delivered:
      PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");  // asyncio's words
      return nullptr;
    case WaitState::idle:
      break;
  }
  const int done = is_done(self, state);
  if (done < 0) return nullptr;
  if (done > 0) {
    self->state.store(WaitState::woken, sync::relaxed);
    return stop_iteration(outcome_of(self, state));
  }
  PyObject* loop = running_asyncio_loop(state);
  if (loop == nullptr) return nullptr;
  PyObject* inbox = loop == Py_None ? refuse_without_loop() : inbox_of(loop, state);
  Py_DECREF(loop);
  if (inbox == nullptr) return nullptr;
  const int begun = begin(self, inbox, state);
  if (begun < 0) return nullptr;
  if (begun == 0) return stop_iteration(outcome_of(self, state));
  self->blocking = 1;
  return Py_NewRef(object);
}

PyObject* awaiter_send(PyObject* object, PyObject*) {
  PyObject* yielded = awaiter_next(object);
  if (yielded == nullptr && !PyErr_Occurred()) PyErr_SetNone(PyExc_StopIteration);
  return yielded;
}

// The task is thrown something other than by our cancel(), or its coroutine is closed: nobody waits any more. The work
// goes on.
void abandon(Awaiter* self) {
  WaitState seen = self->state.load(sync::acquire);
  while (waits(seen)) {
    if (self->state.compare_exchange_weak(seen, WaitState::cancelled, sync::acq_rel, sync::acquire)) {
      if (self->kind == SourceKind::future) (void)end_await(as_future(self->source));
      if (self->kind == SourceKind::mailbox) stop_waiting_for_mail(as_mailbox(self->source), self);
      Py_CLEAR(self->callback);
      Py_CLEAR(self->context);
      return;
    }
  }
}

// throw(exception), or throw(type, value=None, traceback=None)
PyObject* awaiter_throw(PyObject* object, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs < 1 || nargs > 3) {
    PyErr_SetString(PyExc_TypeError, "throw() takes from 1 to 3 arguments");
    return nullptr;
  }
  abandon(as_awaiter(object));
  if (PyExceptionInstance_Check(args[0])) {
    PyErr_SetRaisedException(Py_NewRef(args[0]));
  } else if (PyExceptionClass_Check(args[0])) {
    PyErr_SetObject(args[0], nargs > 1 ? args[1] : nullptr);
  } else {
    PyErr_SetString(PyExc_TypeError, "throw() takes an exception, or a class of exceptions");
  }
  return nullptr;
}

PyObject* awaiter_close(PyObject* object, PyObject*) {
  abandon(as_awaiter(object));
  Py_RETURN_NONE;
}

// ---- as asyncio's future ----------------------------------------------------------------------------------------------

PyObject* awaiter_get_loop(PyObject* object, PyObject*) {
  Awaiter* self = as_awaiter(object);
  if (self->inbox == nullptr) return refuse_without_loop();
  return loop_of(as_inbox(self->inbox));
}

// Has the loop call the task's wake-up in its next turn. False: an exception is set.
bool call_soon(Awaiter* self, PyObject* callback, PyObject* context, State* state) {
  PyObject* loop = loop_of(as_inbox(self->inbox));
  if (loop == nullptr) return false;
  PyObject* args[] = {loop, callback, self->object(), context};
  PyObject* handle = PyObject_VectorcallMethod(state->str_call_soon, args, 3, context == nullptr ? nullptr : state->kwnames_context);
  Py_DECREF(loop);
  Py_XDECREF(handle);
  return handle != nullptr;
}

// add_done_callback(callback, *, context=None)
PyObject* awaiter_add_done_callback(PyObject* object, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  Awaiter* self = as_awaiter(object);
  State* state = state_of_type(Py_TYPE(object));
  const Py_ssize_t keywords = kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames);
  if (nargs != 1 || keywords > 1 ||
      (keywords == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "context") != 0)) {
    PyErr_SetString(PyExc_TypeError, "add_done_callback(callback, *, context=None)");
    return nullptr;
  }
  PyObject* context = keywords == 1 && args[1] != Py_None ? args[1] : nullptr;
  if (!waits(self->state.load(sync::acquire))) {
    if (self->inbox == nullptr) return refuse_without_loop();
    if (!call_soon(self, args[0], context, state)) return nullptr;
    Py_RETURN_NONE;
  }
  if (self->callback != nullptr) {
    PyErr_SetString(PyExc_RuntimeError,
                    "this wait has its task already; have the other one await the future itself");
    return nullptr;
  }
  self->callback = Py_NewRef(args[0]);
  self->context = Py_XNewRef(context);
  Py_RETURN_NONE;
}

// result(): None, or the cancellation. What the source gave is for the iterator.
PyObject* awaiter_result(PyObject* object, PyObject*) {
  Awaiter* self = as_awaiter(object);
  switch (self->state.load(sync::acquire)) {
    case WaitState::cancelled:
      raise_cancelled(self, state_of_type(Py_TYPE(object)));
      return nullptr;
    case WaitState::woken:
      Py_RETURN_NONE;
    default:
      PyErr_SetString(PyExc_RuntimeError, "the wait is not over");
      return nullptr;
  }
}

PyObject* awaiter_done(PyObject* object, PyObject*) {
  const WaitState state = as_awaiter(object)->state.load(sync::acquire);
  return PyBool_FromLong(state == WaitState::woken || state == WaitState::cancelled);
}

PyObject* awaiter_cancelled(PyObject* object, PyObject*) {
  return PyBool_FromLong(as_awaiter(object)->state.load(sync::acquire) == WaitState::cancelled);
}

// Stops what it waited for, unless others wait for that too. False: an exception is set.
bool stop_source(Awaiter* self, State* state) {
  switch (self->kind) {
    case SourceKind::mailbox:
      stop_waiting_for_mail(as_mailbox(self->source), self);
      return true;
    case SourceKind::foreign:
      return stop_work(self->source, state);
    case SourceKind::future:
      break;
  }
  return !end_await(as_future(self->source)) || stop_work(self->source, state);
}

// cancel(msg=None): on the loop. True if the wait ends with a cancellation now.
PyObject* awaiter_cancel(PyObject* object, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  Awaiter* self = as_awaiter(object);
  State* state = state_of_type(Py_TYPE(object));
  const Py_ssize_t count = nargs + (kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames));
  if (count > 1 || (count > nargs && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "msg") != 0)) {
    PyErr_SetString(PyExc_TypeError, "cancel(msg=None)");
    return nullptr;
  }
  WaitState seen = self->state.load(sync::acquire);
  do {
    if (!waits(seen)) Py_RETURN_FALSE;
  } while (!self->state.compare_exchange_weak(seen, WaitState::cancelled, sync::acq_rel, sync::acquire));
  if (count == 1 && args[0] != Py_None) self->message = Py_NewRef(args[0]);
  PyObject* callback = std::exchange(self->callback, nullptr);
  PyObject* context = std::exchange(self->context, nullptr);
  // trio wakes a task that it cancels itself.
  bool done = callback == nullptr || as_inbox(self->inbox)->kind == LoopKind::trio ||
              call_soon(self, callback, context, state);
  Py_XDECREF(callback);
  Py_XDECREF(context);
  done = done && stop_source(self, state);
  return done ? Py_NewRef(Py_True) : nullptr;
}

// ---- for trio -----------------------------------------------------------------------------------------------------------

// Awaiter(source): a wait that is begun by hand.
PyObject* make_awaiter(PyObject* source, SourceKind kind, State* state) {
  PyTypeObject* type = state->awaiter_type;
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) return nullptr;
  Awaiter* self = as_awaiter(object);
  self->vectorcall = [](PyObject* callable, PyObject* const*, size_t, PyObject*) -> PyObject* {
    deliver(as_awaiter(callable));
    Py_RETURN_NONE;
  };
  self->source = Py_NewRef(source);
  self->kind = kind;
  return object;
}

SourceKind kind_of(PyObject* source, State* state) {
  return Py_IS_TYPE(source, state->future_type)    ? SourceKind::future
         : Py_IS_TYPE(source, state->mailbox_type) ? SourceKind::mailbox
                                                   : SourceKind::foreign;
}

PyObject* awaiter_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject* source;
  if (!PyArg_ParseTuple(args, "O:Awaiter", &source)) return nullptr;
  State* state = state_of_type(type);
  return make_awaiter(source, kind_of(source, state), state);
}

// begin(inbox, callback): False if there is nothing to wait for; else callback(self) will be called on the loop.
PyObject* awaiter_begin(PyObject* object, PyObject* const* args, Py_ssize_t nargs) {
  Awaiter* self = as_awaiter(object);
  State* state = state_of_type(Py_TYPE(object));
  if (nargs != 2 || !Py_IS_TYPE(args[0], state->inbox_type) ||
      self->state.load(sync::relaxed) != WaitState::idle) {
    PyErr_SetString(PyExc_TypeError, "begin(inbox, callback), once");
    return nullptr;
  }
  const int done = is_done(self, state);
  if (done < 0) return nullptr;
  if (done > 0) {
    self->state.store(WaitState::woken, sync::relaxed);
    Py_RETURN_FALSE;
  }
  self->callback = Py_NewRef(args[1]);
  const int begun = begin(self, Py_NewRef(args[0]), state);
  return begun < 0 ? nullptr : PyBool_FromLong(begun);
}

PyObject* awaiter_outcome(PyObject* object, PyObject*) {
  return outcome_of(as_awaiter(object), state_of_type(Py_TYPE(object)));
}

// ---- the type ---------------------------------------------------------------------------------------------------------

PyObject* awaiter_repr(PyObject* object) {
  static const char* const words[] = {"idle", "waiting", "delivered", "woken", "cancelled"};
  Awaiter* self = as_awaiter(object);
  return PyUnicode_FromFormat("<wait for %R, %s>", self->source, words[static_cast<int>(self->state.load(sync::acquire))]);
}

int awaiter_traverse(PyObject* object, visitproc visit, void* arg) {
  Awaiter* self = as_awaiter(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->source);
  Py_VISIT(self->inbox);
  Py_VISIT(self->callback);
  Py_VISIT(self->context);
  Py_VISIT(self->message);
  return 0;
}

int awaiter_clear(PyObject* object) {
  Awaiter* self = as_awaiter(object);
  Py_CLEAR(self->callback);
  Py_CLEAR(self->context);
  Py_CLEAR(self->message);
  return 0;
}

void awaiter_dealloc(PyObject* object) {
  Awaiter* self = as_awaiter(object);
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  awaiter_clear(object);
  Py_CLEAR(self->source);
  Py_CLEAR(self->inbox);
  type->tp_free(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
}

PyMemberDef awaiter_members[] = {
    {"__vectorcalloffset__", Py_T_PYSSIZET, offsetof(Awaiter, vectorcall), Py_READONLY, nullptr},
    {"_asyncio_future_blocking", Py_T_BOOL, offsetof(Awaiter, blocking), 0, "asyncio's: has it been yielded?"},
    {nullptr, 0, 0, 0, nullptr},
};

PyCFunction fast(PyCFunctionFast function) { return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function)); }
PyCFunction fast(PyCFunctionFastWithKeywords function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function));
}

PyMethodDef awaiter_methods[] = {
    {"send", awaiter_send, METH_O, "send($self, value, /)\n--\n\nGo on, as an iterator's next() does."},
    {"throw", fast(awaiter_throw), METH_FASTCALL, "throw($self, /, *args)\n--\n\nEnd the wait and raise this."},
    {"close", awaiter_close, METH_NOARGS, "close($self, /)\n--\n\nEnd the wait; the work goes on."},
    {"get_loop", awaiter_get_loop, METH_NOARGS, "get_loop($self, /)\n--\n\nThe event loop."},
    {"add_done_callback", fast(awaiter_add_done_callback), METH_FASTCALL | METH_KEYWORDS,
     "add_done_callback($self, callback, /, *, context=None)\n--\n\nFor the one task that awaits."},
    {"result", awaiter_result, METH_NOARGS, "result($self, /)\n--\n\nNone, or raises the cancellation."},
    {"done", awaiter_done, METH_NOARGS, "done($self, /)\n--\n\nTrue once the wait is over."},
    {"cancelled", awaiter_cancelled, METH_NOARGS, "cancelled($self, /)\n--\n\nTrue if the wait was cancelled."},
    {"cancel", fast(awaiter_cancel), METH_FASTCALL | METH_KEYWORDS,
     "cancel($self, /, msg=None)\n--\n\nEnd the wait, and stop the work unless somebody else awaits it."},
    {"begin", fast(awaiter_begin), METH_FASTCALL,
     "begin($self, inbox, callback, /)\n--\n\nBegin to wait. False if there is nothing to wait for."},
    {"outcome", awaiter_outcome, METH_NOARGS, "outcome($self, /)\n--\n\nWhat the source gave, once the wait is over."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot awaiter_slots[] = {
    {Py_tp_doc, const_cast<char*>("One wait of one task for one future. Internal: what `await future` iterates over.")},
    {Py_tp_new, reinterpret_cast<void*>(awaiter_new)},
    {Py_tp_repr, reinterpret_cast<void*>(awaiter_repr)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(awaiter_next)},
    {Py_tp_methods, awaiter_methods},
    {Py_tp_members, awaiter_members},
    {Py_tp_traverse, reinterpret_cast<void*>(awaiter_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(awaiter_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(awaiter_dealloc)},
    {0, nullptr},
};

// ---- functions ----------------------------------------------------------------------------------------------------------

State* state_of_module(PyObject* module) { return static_cast<State*>(PyModule_GetState(module)); }

PyObject* await_future(PyObject* module, PyObject* source) {
  State* state = state_of_module(module);
  return await_source(source, kind_of(source, state), state);
}

PyObject* end_await_of(PyObject* module, PyObject* const* args, Py_ssize_t nargs) {
  State* state = state_of_module(module);
  if (nargs != 2) {
    PyErr_SetString(PyExc_TypeError, "end_await(future, stop)");
    return nullptr;
  }
  const bool last = !Py_IS_TYPE(args[0], state->future_type) || end_await(as_future(args[0]));
  if (last && args[1] == Py_True && !stop_work(args[0], state)) return nullptr;
  Py_RETURN_NONE;
}

}  // namespace

// ---- what others use ------------------------------------------------------------------------------------------------------

void deliver(Awaiter* self) {
  WaitState waiting = WaitState::waiting;
  if (!self->state.compare_exchange_strong(waiting, WaitState::delivered, sync::acq_rel, sync::acquire)) return;
  push(as_inbox(self->inbox), self);
}

bool wake(Awaiter* self) {
  WaitState delivered = WaitState::delivered;
  if (!self->state.compare_exchange_strong(delivered, WaitState::woken, sync::acq_rel, sync::acquire)) return true;
  PyObject* callback = std::exchange(self->callback, nullptr);
  PyObject* context = std::exchange(self->context, nullptr);
  if (callback == nullptr) return true;  // whoever iterates does not wait for us
  PyObject* returned = nullptr;
  if (context == nullptr) {
    returned = PyObject_CallOneArg(callback, self->object());
  } else if (PyContext_Enter(context) == 0) {
    returned = PyObject_CallOneArg(callback, self->object());
    if (PyContext_Exit(context) < 0) Py_CLEAR(returned);
  }
  Py_DECREF(callback);
  Py_XDECREF(context);
  Py_XDECREF(returned);
  return returned != nullptr;
}

void begin_await(Future* self) {
  uint16_t count = self->awaiters.load(sync::relaxed);
  // So many that nobody will ever be the last: then cancelling stops no work.
  while (count != UINT16_MAX && !self->awaiters.compare_exchange_weak(count, count + 1, sync::acq_rel, sync::relaxed)) {
  }
}

bool end_await(Future* self) {
  uint16_t count = self->awaiters.load(sync::relaxed);
  do {
    if (count == UINT16_MAX || count == 0) return count == 0;
  } while (!self->awaiters.compare_exchange_weak(count, count - 1, sync::acq_rel, sync::relaxed));
  return count == 1;
}

bool stop_work(PyObject* future, State* state) {
  for (int attempt = 0; attempt < kStopAttempts; ++attempt) {
    PyObject* cancelled = PyObject_CallMethodNoArgs(future, state->str_cancel);
    const int truth = cancelled == nullptr ? -1 : PyObject_IsTrue(cancelled);
    Py_XDECREF(cancelled);
    if (truth != 0) return truth > 0;
    if (!Py_IS_TYPE(future, state->future_type) || as_future(future)->settled()) return true;
    PyObject* exception = error_class(state, "Interrupted");
    if (exception == nullptr) return false;
    const int asked = interrupt_task(as_future(future), exception);
    if (asked != 0) return asked > 0;
  }
  return true;
}

PyObject* await_source(PyObject* source, SourceKind kind, State* state) {
  const TaskState seen = kind == SourceKind::future ? as_future(source)->state() : TaskState::pending;
  if (seen != TaskState::done && seen != TaskState::failed) {
    PyObject* trio = PyImport_GetModule(state->str_trio);
    if (trio == nullptr && PyErr_Occurred()) return nullptr;
    const bool imported = trio != nullptr && trio != Py_None;  // None: somebody has forbidden it
    Py_XDECREF(trio);
    if (imported) {  // whether it is what runs here is for Python to find out
      PyObject* module = PyImport_ImportModule("weft.aio._trio");
      PyObject* iterator = module == nullptr ? nullptr : PyObject_CallMethod(module, "awaiting", "O", source);
      Py_XDECREF(module);
      if (iterator != Py_None) return iterator;
      Py_DECREF(iterator);
    }
  }
  return make_awaiter(source, kind, state);
}

PyMethodDef await_functions[] = {
    {"await_future", await_future, METH_O,
     "await_future($module, future, /)\n--\n\nWhat awaiting a future iterates over, or a Mailbox. Internal: for __await__."},
    {"end_await", fast(end_await_of), METH_FASTCALL,
     "end_await($module, future, stop, /)\n--\n\n"
     "One fewer awaits a future that a Mailbox watches; with `stop`, the last one stops its work. Internal: of weft.aio."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Spec awaiter_spec = {
    "weft._core.Awaiter",
    sizeof(Awaiter),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    awaiter_slots,
};

}  // namespace weft::core
