#include "remote/lent.hpp"

#include <new>

namespace weft::core {

namespace {

struct Lent {
  PyObject ob_base;
  std::shared_ptr<LentMemory> memory;
};

// SAFETY: called with instances of lent_spec only.
Lent* as_lent(PyObject* object) { return reinterpret_cast<Lent*>(object); }

int lent_getbuffer(PyObject* object, Py_buffer* out, int flags) {
  const LentMemory& memory = *as_lent(object)->memory;
  return PyBuffer_FillInfo(out, object, memory.data(), static_cast<Py_ssize_t>(memory.size()), memory.is_read_only(), flags);
}

void lent_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  as_lent(object)->memory.~shared_ptr();
  type->tp_free(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
}

// SAFETY: the casts are how CPython takes slots.
PyType_Slot lent_slots[] = {
    {Py_tp_doc, const_cast<char*>("Memory of the interpreter that submitted the task. Internal.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(lent_dealloc)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(lent_getbuffer)},
    {0, nullptr},
};

PyType_Spec lent_spec = {
    "weft._core.Lent",
    sizeof(Lent),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    lent_slots,
};

}  // namespace

LentView::~LentView() {
  if (PyInterpreterState_Get() == owner_) {
    PyBuffer_Release(&view_);
    return;
  }
  PyThreadState* here = PyEval_SaveThread();
  PyThreadState* there = PyThreadState_New(owner_);
  PyEval_RestoreThread(there);
  PyBuffer_Release(&view_);
  PyThreadState_Clear(there);
  PyThreadState_DeleteCurrent();
  PyEval_RestoreThread(here);
}

// SAFETY: PyType_FromSpec makes types.
PyTypeObject* make_lent_type() { return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&lent_spec)); }

PyObject* lend(PyTypeObject* type, std::shared_ptr<LentMemory> memory) {
  PyObject* object = type->tp_alloc(type, 0);
  if (object != nullptr) new (&as_lent(object)->memory) std::shared_ptr<LentMemory>(std::move(memory));
  return object;
}

}  // namespace weft::core
