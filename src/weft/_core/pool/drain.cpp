// The iterator that map() returns: hands out the items of one list after the other.
//
// fetch() gives the next list, or raises: StopIteration at the end, anything else to pass on. Each item is taken out of
// its list when it is handed out, so that the caller holds the only reference. A generator would do the same at four
// times the cost for each item.
//
// Closing it, or dropping it half way, calls cancel(); dropping it untouched does not, as with the stdlib's map: the
// calls are then made for their effects.

#include "pool/drain.hpp"

#include "pool/pool.hpp"

namespace weft::core {

namespace {

struct Drain {
  PyObject ob_base;
  PyObject* fetch;   // strong; null once exhausted or closed
  PyObject* cancel;  // strong
  PyObject* items;   // strong list of our own, or null
  Py_ssize_t next;
  bool touched;
  bool fetching;  // a thread is in fetch(), which may take its time
};

Drain* as_drain(PyObject* object) { return reinterpret_cast<Drain*>(object); }

PyObject* drain_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *fetch, *cancel;
  if (!PyArg_ParseTuple(args, "OO", &fetch, &cancel)) return nullptr;
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) return nullptr;
  as_drain(object)->fetch = Py_NewRef(fetch);
  as_drain(object)->cancel = Py_NewRef(cancel);
  return object;
}

// Ends the iteration; tells `cancel` unless it had come to its end by itself. False: an exception is set.
bool end(Drain* self, bool tell) {
  PyObject* cancel = std::exchange(self->cancel, nullptr);
  Py_CLEAR(self->fetch);
  Py_CLEAR(self->items);
  Owned told(tell && cancel != nullptr ? PyObject_CallNoArgs(cancel) : Py_NewRef(Py_None));
  Py_XDECREF(cancel);
  return static_cast<bool>(told);
}

PyObject* next_lock_held(Drain* self) {
  self->touched = true;
  while (self->items == nullptr || self->next >= PyList_GET_SIZE(self->items)) {
    if (self->fetch == nullptr) return nullptr;
    if (self->fetching) {  // as a generator would say
      PyErr_SetString(PyExc_ValueError, "the iterator is already being read by another thread");
      return nullptr;
    }
    Py_CLEAR(self->items);
    PyObject* fetch = Py_NewRef(self->fetch);
    self->fetching = true;
    PyObject* items = PyObject_CallNoArgs(fetch);
    self->fetching = false;
    Py_DECREF(fetch);
    if (items == nullptr) {
      if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyErr_Clear();
        end(self, false);
      } else {
        PyObject* error = PyErr_GetRaisedException();
        if (!end(self, true)) PyErr_WriteUnraisable(nullptr);
        PyErr_SetRaisedException(error);
      }
      return nullptr;
    }
    Py_XSETREF(self->items, items);
    self->next = 0;
  }
  PyObject* item = PyList_GET_ITEM(self->items, self->next);
  PyList_SET_ITEM(self->items, self->next, Py_NewRef(Py_None));  // the list's reference to the item is the caller's now
  ++self->next;
  return item;
}

PyObject* drain_next(PyObject* object) {
  PyObject* item;
  Py_BEGIN_CRITICAL_SECTION(object);
  item = next_lock_held(as_drain(object));
  Py_END_CRITICAL_SECTION();
  return item;
}

PyObject* drain_close(PyObject* object, PyObject*) {
  bool closed;
  Py_BEGIN_CRITICAL_SECTION(object);
  closed = end(as_drain(object), true);
  Py_END_CRITICAL_SECTION();
  if (!closed) return nullptr;
  Py_RETURN_NONE;
}

int drain_traverse(PyObject* object, visitproc visit, void* arg) {
  Drain* self = as_drain(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->fetch);
  Py_VISIT(self->cancel);
  Py_VISIT(self->items);
  return 0;
}

int drain_clear(PyObject* object) {
  Drain* self = as_drain(object);
  Py_CLEAR(self->fetch);
  Py_CLEAR(self->cancel);
  Py_CLEAR(self->items);
  return 0;
}

void drain_finalize(PyObject* object) {
  Drain* self = as_drain(object);
  PyObject* error = PyErr_GetRaisedException();
  if (!end(self, self->touched)) PyErr_WriteUnraisable(nullptr);
  PyErr_SetRaisedException(error);
}

void drain_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  if (PyObject_CallFinalizerFromDealloc(object) < 0) return;
  PyObject_GC_UnTrack(object);
  drain_clear(object);
  type->tp_free(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
}

PyMethodDef drain_methods[] = {
    {"close", drain_close, METH_NOARGS, "close($self, /)\n--\n\nStop: cancel what has not begun, and end the iteration."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot drain_slots[] = {
    {Py_tp_doc, const_cast<char*>("The results of map(), in an iterator. Internal: made by map().")},
    {Py_tp_new, reinterpret_cast<void*>(drain_new)},
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(drain_next)},
    {Py_tp_methods, drain_methods},
    {Py_tp_traverse, reinterpret_cast<void*>(drain_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(drain_clear)},
    {Py_tp_finalize, reinterpret_cast<void*>(drain_finalize)},
    {Py_tp_dealloc, reinterpret_cast<void*>(drain_dealloc)},
    {0, nullptr},
};

}  // namespace

PyType_Spec drain_spec = {
    "weft._core.Drain",
    sizeof(Drain),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    drain_slots,
};

}  // namespace weft::core
