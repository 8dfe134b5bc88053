// The stdlib's private side of a Future, made real on first touch.
//
// concurrent.futures.wait() and as_completed() take `_condition`, read `_state` under it and append to `_waiters`;
// whoever settles must then tell the waiters. The condition and the list are created when one of these attributes is
// first read; from then on the flag kReal routes every settling transition through the condition's lock.
//
// A worker that touches them is about to wait in the stdlib's way, where we cannot help: it counts as blocked until
// its task ends, so that the pool makes room for a stand-in and nested waits do not deadlock (invariant 5).

#include "future/compose.hpp"
#include "future/future.hpp"
#include "pool/pool.hpp"

namespace weft::core {

namespace {

// Publishes `fresh` in `slot` unless somebody was first; returns what is there, borrowed. Takes `fresh` over.
PyObject* publish(Atomic<PyObject*>& slot, PyObject* fresh) {
  PyObject* seen = nullptr;
  if (slot.compare_exchange_strong(seen, fresh, sync::acq_rel, sync::acquire)) return fresh;
  Py_DECREF(fresh);
  return seen;
}

Extras* make_real(Future* self) {
  if (!self->settled() && (refuse_if_forked(self) || !start_deferred(self))) return nullptr;  // wait() would wait for ever
  Extras* extras = extras_of(self);
  if (extras == nullptr) return nullptr;
  if (extras->condition.load(sync::acquire) == nullptr || extras->waiters.load(sync::acquire) == nullptr) {
    State* state = state_of_type(Py_TYPE(self->object()));
    Owned waiters(PyList_New(0));
    Owned condition(PyObject_CallNoArgs(state->condition_type));
    if (!condition || !waiters) return nullptr;
    publish(extras->waiters, waiters.give());
    publish(extras->condition, condition.give());
  }
  track(self);  // a waiter may hold what holds the Future
  // seq_cst with the settling CAS: whoever settles afterwards sees the flag, and takes the lock.
  self->word.fetch_or(word::kReal, sync::seq_cst);
  if (!self->settled()) block_until_task_ends(self);
  return extras;
}

PyObject* get_condition(PyObject* object, void*) {
  Extras* extras = make_real(as_future(object));
  return extras == nullptr ? nullptr : Py_NewRef(extras->condition.load(sync::acquire));
}

PyObject* get_waiters(PyObject* object, void*) {
  Extras* extras = make_real(as_future(object));
  return extras == nullptr ? nullptr : Py_NewRef(extras->waiters.load(sync::acquire));
}

PyObject* get_state(PyObject* object, void*) {
  State* state = state_of_type(Py_TYPE(object));
  switch (as_future(object)->state()) {
    case TaskState::pending:
      return Py_NewRef(state->word_pending);
    case TaskState::running:
      return Py_NewRef(state->word_running);
    case TaskState::cancelled:
      // Cancelling settles at once, so there is no cancelled task whose waiters have not been told.
      return Py_NewRef(state->word_cancelled);
    default:
      return Py_NewRef(state->word_finished);
  }
}

PyObject* get_result(PyObject* object, void*) {
  Future* self = as_future(object);
  return Py_NewRef(self->state() == TaskState::done ? self->outcome : Py_None);
}

PyObject* get_exception(PyObject* object, void*) {
  Future* self = as_future(object);
  return Py_NewRef(self->state() == TaskState::failed ? self->outcome : Py_None);
}

// The stack of callbacks cannot be walked while others take it, so none is shown.
PyObject* get_done_callbacks(PyObject*, void*) { return PyList_New(0); }

}  // namespace

PyGetSetDef stdlib_getset[] = {
    {"_condition", get_condition, nullptr, "The stdlib's condition, made on first touch.", nullptr},
    {"_waiters", get_waiters, nullptr, "The stdlib's waiters, made on first touch.", nullptr},
    {"_state", get_state, nullptr, "The stdlib's word for the state.", nullptr},
    {"_result", get_result, nullptr, "The result, or None.", nullptr},
    {"_exception", get_exception, nullptr, "The exception, or None.", nullptr},
    {"_done_callbacks", get_done_callbacks, nullptr, "Always empty: callbacks live in the core.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

bool lock_condition(Future* self, State* state) {
  PyObject* condition = self->extras.load(sync::acquire)->condition.load(sync::acquire);
  Owned locked(PyObject_CallMethodNoArgs(condition, state->str_acquire));
  return static_cast<bool>(locked);
}

void notify_and_unlock_condition(Future* self, State* state, TaskState settled_as) {
  Extras* extras = self->extras.load(sync::acquire);
  if (word::settled(static_cast<uint32_t>(settled_as))) {
    PyObject* method = settled_as == TaskState::done     ? state->str_add_result
                       : settled_as == TaskState::failed ? state->str_add_exception
                                                         : state->str_add_cancelled;
    PyObject* waiters = extras->waiters.load(sync::acquire);
    // A copy: the methods are Python code, and a waiter may be removed meanwhile.
    Owned copy(PySequence_List(waiters));
    for (Py_ssize_t i = 0; copy && i < PyList_GET_SIZE(copy.get()); ++i) {
      Owned told(PyObject_CallMethodOneArg(PyList_GET_ITEM(copy.get(), i), method, self->object()));
      if (!told) PyErr_WriteUnraisable(self->object());
    }
    Owned notified(PyObject_CallMethodNoArgs(extras->condition.load(sync::acquire), state->str_notify_all));
    if (!copy || !notified) PyErr_WriteUnraisable(self->object());
  }
  Owned unlocked(PyObject_CallMethodNoArgs(extras->condition.load(sync::acquire), state->str_release));
  if (!unlocked) PyErr_WriteUnraisable(self->object());
}

}  // namespace weft::core
