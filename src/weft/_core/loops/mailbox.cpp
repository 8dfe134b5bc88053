// See mailbox.hpp.

#include "loops/mailbox.hpp"

#include <cstddef>

#include "pool/pool.hpp"

namespace weft::core {

namespace {

bool ready_lock_held(Mailbox* self) {
  return PyList_GET_SIZE(self->arrived) >= self->needed || (self->fail_fast && self->failed);
}

// 1 if a future that is done has no result; 0 if it has one; -1: an exception is set.
int has_failed(PyObject* future, State* state) {
  if (Py_IS_TYPE(future, state->future_type)) return as_future(future)->state() != TaskState::done;
  PyObject* cancelled = PyObject_CallMethodNoArgs(future, state->str_cancelled);
  int failed = cancelled == nullptr ? -1 : PyObject_IsTrue(cancelled);
  Py_XDECREF(cancelled);
  if (failed != 0) return failed;
  PyObject* exception = PyObject_CallMethodNoArgs(future, state->str_exception);
  failed = exception == nullptr ? -1 : exception != Py_None;
  Py_XDECREF(exception);
  return failed;
}

// What is done puts itself into the mailbox. False: an exception is set.
bool put(Mailbox* self, PyObject* item, bool failed) {
  Awaiter* waiter = nullptr;
  bool appended = true;
  Py_BEGIN_CRITICAL_SECTION(&self->ob_base);
  if (!self->closed) {
    appended = PyList_Append(self->arrived, item) == 0;
    self->failed |= failed;
    if (self->waiter != nullptr && ready_lock_held(self)) waiter = std::exchange(self->waiter, nullptr);
  }
  Py_END_CRITICAL_SECTION();
  if (waiter != nullptr) {
    deliver(waiter);
    Py_DECREF(waiter->object());  // SAFETY: the mailbox's reference
  }
  return appended;
}

// mailbox(future): any thread.
PyObject* arrive(PyObject* object, PyObject* const* args, size_t nargsf, PyObject*) {
  if (PyVectorcall_NARGS(nargsf) != 1) {
    PyErr_SetString(PyExc_TypeError, "a mailbox is called with one future");
    return nullptr;
  }
  Mailbox* self = as_mailbox(object);
  const int failed = self->fail_fast ? has_failed(args[0], state_of_type(Py_TYPE(object))) : 0;
  if (failed < 0 || !put(self, args[0], failed > 0)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* mailbox_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* const names[] = {"fail_fast", nullptr};
  int fail_fast = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:Mailbox", const_cast<char**>(names), &fail_fast)) return nullptr;
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) return nullptr;
  Mailbox* self = as_mailbox(object);
  self->vectorcall = arrive;
  self->fail_fast = fail_fast != 0;
  self->arrived = PyList_New(0);
  if (self->arrived == nullptr) Py_CLEAR(object);
  return object;
}

// watch(future): it will arrive here when it is done; at once if it is.
PyObject* mailbox_watch(PyObject* object, PyObject* future) {
  State* state = state_of_type(Py_TYPE(object));
  if (!Py_IS_TYPE(future, state->future_type)) {
    PyObject* added = PyObject_CallMethodOneArg(future, state->str_add_done_callback, object);
    if (added == nullptr) return nullptr;
    Py_DECREF(added);
    Py_RETURN_NONE;
  }
  Future* weft = as_future(future);
  begin_await(weft);
  if (!weft->settled()) {
    if (refuse_if_forked(weft)) return nullptr;
    block_until_task_ends(weft);
    const int added = add_callback(weft, object);
    if (added < 0) return nullptr;
    if (added > 0) Py_RETURN_NONE;
  }
  if (!put(as_mailbox(object), future, weft->state() != TaskState::done)) return nullptr;
  Py_RETURN_NONE;
}

// wait(count): an awaitable, over when so many are here.
PyObject* mailbox_wait(PyObject* object, PyObject* count) {
  const Py_ssize_t needed = PyLong_AsSsize_t(count);
  if (needed == -1 && PyErr_Occurred()) return nullptr;
  Py_BEGIN_CRITICAL_SECTION(object);
  as_mailbox(object)->needed = needed;
  Py_END_CRITICAL_SECTION();
  return Py_NewRef(object);
}

PyObject* mailbox_await(PyObject* object) {
  return await_source(object, SourceKind::mailbox, state_of_type(Py_TYPE(object)));
}

// take(): what has arrived, in order.
PyObject* mailbox_take(PyObject* object, PyObject*) {
  Mailbox* self = as_mailbox(object);
  PyObject* taken = PyList_New(0);
  if (taken == nullptr) return nullptr;
  Py_BEGIN_CRITICAL_SECTION(object);
  std::swap(self->arrived, taken);
  Py_END_CRITICAL_SECTION();
  return taken;
}

PyObject* mailbox_close(PyObject* object, PyObject*) {
  Mailbox* self = as_mailbox(object);
  PyObject* dropped = PyList_New(0);
  if (dropped == nullptr) return nullptr;
  Awaiter* waiter = nullptr;
  Py_BEGIN_CRITICAL_SECTION(object);
  self->closed = true;
  std::swap(self->arrived, dropped);
  waiter = std::exchange(self->waiter, nullptr);
  Py_END_CRITICAL_SECTION();
  Py_DECREF(dropped);
  if (waiter != nullptr) Py_DECREF(waiter->object());  // SAFETY: the mailbox's reference
  Py_RETURN_NONE;
}

int mailbox_traverse(PyObject* object, visitproc visit, void* arg) {
  Mailbox* self = as_mailbox(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->arrived);
  if (self->waiter != nullptr) Py_VISIT(self->waiter->object());
  return 0;
}

int mailbox_clear(PyObject* object) {
  Mailbox* self = as_mailbox(object);
  self->closed = true;
  Awaiter* waiter = std::exchange(self->waiter, nullptr);
  if (waiter != nullptr) Py_DECREF(waiter->object());  // SAFETY: the mailbox's reference
  return 0;
}

void mailbox_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  mailbox_clear(object);
  Py_CLEAR(as_mailbox(object)->arrived);
  type->tp_free(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
}

PyMemberDef mailbox_members[] = {
    {"__vectorcalloffset__", Py_T_PYSSIZET, offsetof(Mailbox, vectorcall), Py_READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyMethodDef mailbox_methods[] = {
    {"watch", mailbox_watch, METH_O, "watch($self, future, /)\n--\n\nHave a future arrive here when it is done."},
    {"wait", mailbox_wait, METH_O, "wait($self, count, /)\n--\n\nAn awaitable that is over when so many are here."},
    {"take", mailbox_take, METH_NOARGS, "take($self, /)\n--\n\nThe futures that have arrived, in order."},
    {"close", mailbox_close, METH_NOARGS, "close($self, /)\n--\n\nLet nothing arrive any more."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot mailbox_slots[] = {
    {Py_tp_doc, const_cast<char*>("Where many futures arrive for one waiting task. Internal: of weft.aio.")},
    {Py_tp_new, reinterpret_cast<void*>(mailbox_new)},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_am_await, reinterpret_cast<void*>(mailbox_await)},
    {Py_tp_methods, mailbox_methods},
    {Py_tp_members, mailbox_members},
    {Py_tp_traverse, reinterpret_cast<void*>(mailbox_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(mailbox_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(mailbox_dealloc)},
    {0, nullptr},
};

}  // namespace

bool wait_for_mail(Mailbox* self, Awaiter* awaiter) {
  bool ready = false;
  Awaiter* before = nullptr;
  Py_BEGIN_CRITICAL_SECTION(&self->ob_base);
  ready = self->closed || ready_lock_held(self);
  if (!ready) {
    Py_INCREF(awaiter->object());  // SAFETY: the mailbox's, given up by put(), close() or stop_waiting_for_mail()
    before = std::exchange(self->waiter, awaiter);
  }
  Py_END_CRITICAL_SECTION();
  if (before != nullptr) Py_DECREF(before->object());
  return ready;
}

void stop_waiting_for_mail(Mailbox* self, Awaiter* awaiter) {
  bool mine = false;
  Py_BEGIN_CRITICAL_SECTION(&self->ob_base);
  mine = self->waiter == awaiter;
  if (mine) self->waiter = nullptr;
  Py_END_CRITICAL_SECTION();
  if (mine) Py_DECREF(awaiter->object());  // SAFETY: the mailbox's reference
}

PyType_Spec mailbox_spec = {
    "weft._core.Mailbox",
    sizeof(Mailbox),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE,
    mailbox_slots,
};

}  // namespace weft::core
