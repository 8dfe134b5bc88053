// See inbox.hpp. Frames here that call into a loop hold plain pointers, no Owned: a worker that is a daemon may end in
// there, without a thread state (see Owned).

#include "loops/inbox.hpp"

#include <cstddef>

#include "loops/awaiter.hpp"

namespace weft::core {

namespace {

// At the address of no object; compared, never followed.
Awaiter* const kServed = reinterpret_cast<Awaiter*>(uintptr_t{1});
Awaiter* const kClosed = reinterpret_cast<Awaiter*>(uintptr_t{2});

// After so many the loop has a turn: it looks at its sockets and timers before the rest.
constexpr int kBatch = 512;

bool is_list(Awaiter* head) { return reinterpret_cast<uintptr_t>(head) > 2; }

void drop_all(Awaiter* list) {
  while (is_list(list)) {
    Awaiter* next = std::exchange(list->next, nullptr);
    Py_DECREF(list->object());  // SAFETY: the reference that push() took
    list = next;
  }
}

// "weft.aio", WARNING: the exception that is set, which says why the loop could not be told.
void warn_that_it_is_closed(Inbox* self) {
  PyObject* error = PyErr_GetRaisedException();
  PyObject* logging = PyImport_ImportModule("logging");
  PyObject* logger = logging == nullptr ? nullptr : PyObject_CallMethod(logging, "getLogger", "s", "weft.aio");
  PyObject* logged = logger == nullptr
                         ? nullptr
                         : PyObject_CallMethod(logger, "warning", "sO",
                                               "a task is done, but the event loop that awaited it has ended (%s): nobody "
                                               "gets its result; await it, or cancel it, before the loop is closed",
                                               error == nullptr ? Py_None : error);
  if (logged == nullptr) PyErr_WriteUnraisable(self->object());
  Py_XDECREF(logged);
  Py_XDECREF(logger);
  Py_XDECREF(logging);
  Py_XDECREF(error);
}

// Without a GIL an object belongs to the thread that made it, and dies on that thread: what another thread lets go of
// is queued for its owner (PEP 703). The handle that a loop makes for us holds that loop; left to the worker, it would
// run the loop's __del__ there, in the midst of some task, and an interrupt meant for the task can be lost in a __del__.
void give_away([[maybe_unused]] PyObject* object) {
#ifdef Py_GIL_DISABLED
  if (object->ob_tid != _Py_ThreadId() || _Py_IsImmortal(object)) return;
  // SAFETY: we own it, so ob_ref_local is ours. The same steps as CPython's own _Py_ExplicitMergeRefcount: from now on
  // the counts are one, and whoever takes the last reference away frees it.
  const auto local = static_cast<Py_ssize_t>(_Py_atomic_load_uint32_relaxed(&object->ob_ref_local));
  _Py_atomic_store_uint32_relaxed(&object->ob_ref_local, 0);
  _Py_atomic_store_uintptr_relaxed(&object->ob_tid, 0);
  Py_ssize_t shared = _Py_atomic_load_ssize_relaxed(&object->ob_ref_shared);
  while (!_Py_atomic_compare_exchange_ssize(
      &object->ob_ref_shared, &shared,
      _Py_REF_SHARED((shared >> _Py_REF_SHARED_SHIFT) + local, _Py_REF_MERGED))) {
  }
#endif
}

// Has the loop call drain() soon. False: an exception is set.
bool post(Inbox* self, State* state, bool on_loop) {
  PyObject* loop = loop_of(self);
  if (loop == nullptr) return false;
  PyObject* method = self->kind == LoopKind::trio ? state->str_run_sync_soon
                     : on_loop                    ? state->str_call_soon
                                                  : state->str_call_soon_threadsafe;
  PyObject* posted = PyObject_CallMethodOneArg(loop, method, self->object());
  Py_DECREF(loop);
  if (posted == nullptr) return false;
  if (!on_loop) give_away(posted);
  Py_DECREF(posted);
  return true;
}

void take_arrived(Inbox* self) {
  Awaiter* newest = self->arrived.exchange(kServed, sync::acq_rel);
  Awaiter* oldest = nullptr;
  while (is_list(newest)) {
    Awaiter* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  Awaiter** end = &self->taken;
  while (*end != nullptr) end = &(*end)->next;
  *end = oldest;
}

// drain(): on the loop. Wakes those who have arrived, and sees to it that it is called again if that was not all.
PyObject* drain(PyObject* object, PyObject* const*, size_t, PyObject*) {
  Inbox* self = as_inbox(object);
  State* state = state_of_type(Py_TYPE(object));
  if (self->taken == nullptr) take_arrived(self);
  bool woken = true;
  for (int count = 0; woken && self->taken != nullptr && count < kBatch; ++count) {
    Awaiter* first = self->taken;
    self->taken = std::exchange(first->next, nullptr);
    woken = wake(first);
    Py_DECREF(first->object());  // SAFETY: the reference that push() took
  }
  // What failed is Ctrl-C or sys.exit, in a task's own step: the loop's to handle, after which the rest has its turn.
  PyObject* error = woken ? nullptr : PyErr_GetRaisedException();
  Awaiter* served = kServed;
  if (self->taken != nullptr || !self->arrived.compare_exchange_strong(served, nullptr, sync::acq_rel, sync::acquire)) {
    if (!post(self, state, true)) {
      if (error == nullptr) return nullptr;
      PyErr_WriteUnraisable(object);
    }
  }
  if (error != nullptr) {
    PyErr_SetRaisedException(error);
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* make_inbox(State* state, PyObject* loop_reference, LoopKind kind) {
  PyTypeObject* type = state->inbox_type;
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) return nullptr;
  Inbox* self = as_inbox(object);
  self->vectorcall = drain;
  self->loop = Py_NewRef(loop_reference);
  self->kind = kind;
  return object;
}

// Inbox(token): of a run of trio.
PyObject* inbox_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject* token;
  if (!PyArg_ParseTuple(args, "O:Inbox", &token)) return nullptr;
  return make_inbox(state_of_type(type), token, LoopKind::trio);
}

int inbox_traverse(PyObject* object, visitproc visit, void* arg) {
  Inbox* self = as_inbox(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->loop);
  for (Awaiter* list : {self->arrived.load(sync::relaxed), self->taken}) {
    for (; is_list(list); list = list->next) Py_VISIT(list->object());
  }
  return 0;
}

int inbox_clear(PyObject* object) {
  Inbox* self = as_inbox(object);
  drop_all(self->arrived.exchange(kClosed, sync::acq_rel));
  drop_all(std::exchange(self->taken, nullptr));
  Py_CLEAR(self->loop);
  return 0;
}

void inbox_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  inbox_clear(object);
  type->tp_free(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
}

PyMemberDef inbox_members[] = {
    {"__vectorcalloffset__", Py_T_PYSSIZET, offsetof(Inbox, vectorcall), Py_READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot inbox_slots[] = {
    {Py_tp_doc, const_cast<char*>("What has been completed for one event loop. Internal: of `await future`.")},
    {Py_tp_new, reinterpret_cast<void*>(inbox_new)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_members, inbox_members},
    {Py_tp_traverse, reinterpret_cast<void*>(inbox_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(inbox_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(inbox_dealloc)},
    {0, nullptr},
};

}  // namespace

PyObject* loop_of(Inbox* self) {
  if (self->kind == LoopKind::trio) return Py_NewRef(self->loop);
  PyObject* loop = nullptr;
  if (PyWeakref_GetRef(self->loop, &loop) == 0) PyErr_SetString(PyExc_RuntimeError, "the event loop is gone");
  return loop;
}

void push(Inbox* self, Awaiter* awaiter) {
  Awaiter* head = self->arrived.load(sync::relaxed);
  Py_INCREF(awaiter->object());  // SAFETY: the list's, given up by drain() or drop_all()
  do {
    if (head == kClosed) {
      Py_DECREF(awaiter->object());
      return;
    }
    awaiter->next = is_list(head) ? head : nullptr;
  } while (!self->arrived.compare_exchange_weak(head, awaiter, sync::acq_rel, sync::relaxed));
  if (head != nullptr) return;
  if (!post(self, state_of_type(Py_TYPE(self->object())), false)) {
    warn_that_it_is_closed(self);
    drop_all(self->arrived.exchange(kClosed, sync::acq_rel));
  }
}

PyObject* running_asyncio_loop(State* state) {
  PyObject* get = state->get_running_loop.load(sync::acquire);
  if (get == nullptr) {
    PyObject* events = PyImport_GetModule(state->str_asyncio_events);  // not imported: no loop of its runs
    if (events == nullptr) return PyErr_Occurred() ? nullptr : Py_NewRef(Py_None);
    PyObject* fresh = nullptr;
    const int found = PyObject_GetOptionalAttrString(events, "_get_running_loop", &fresh);
    Py_DECREF(events);
    if (found <= 0) return found < 0 ? nullptr : Py_NewRef(Py_None);  // another thread imports it right now
    if (state->get_running_loop.compare_exchange_strong(get, fresh, sync::acq_rel, sync::acquire)) {
      get = fresh;
    } else {
      Py_DECREF(fresh);
    }
  }
  return PyObject_CallNoArgs(get);
}

PyObject* inbox_of(PyObject* loop, State* state) {
  PyObject* inbox = nullptr;
  if (PyObject_GetOptionalAttr(loop, state->str_weft_inbox, &inbox) < 0) return nullptr;
  if (inbox != nullptr && Py_IS_TYPE(inbox, state->inbox_type)) return inbox;
  Py_XDECREF(inbox);
  PyObject* reference = PyWeakref_NewRef(loop, nullptr);
  if (reference == nullptr) return nullptr;
  inbox = make_inbox(state, reference, LoopKind::asyncio);
  Py_DECREF(reference);
  // A loop of another make may refuse attributes; then each await has an inbox, and a wake-up, of its own.
  if (inbox != nullptr && PyObject_SetAttr(loop, state->str_weft_inbox, inbox) < 0) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError) && !PyErr_ExceptionMatches(PyExc_TypeError)) Py_CLEAR(inbox);
    if (inbox != nullptr) PyErr_Clear();
  }
  return inbox;
}

PyType_Spec inbox_spec = {
    "weft._core.Inbox",
    sizeof(Inbox),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    inbox_slots,
};

}  // namespace weft::core
