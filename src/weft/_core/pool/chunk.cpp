// Calling one function for many items inside one task: what map() submits.
//
// Each item keeps its own error, and sees the context as the submitter left it, whatever earlier items did to it.

#include "pool/chunk.hpp"

#include "pool/pool.hpp"

namespace weft::core {

namespace {

constexpr Py_ssize_t kBreath = 1024;

Py_ssize_t context_size(PyObject* context) {
  return context == nullptr ? 0 : Py_TYPE(context)->tp_as_mapping->mp_length(context);
}

// The item in a context of its own.
PyObject* call_in(PyObject* context, PyObject* function, PyObject* const* args, size_t count) {
  if (context == nullptr || PyContext_Enter(context) < 0) return nullptr;
  PyObject* result = PyObject_Vectorcall(function, args, count, nullptr);
  PyObject* error = result == nullptr ? PyErr_GetRaisedException() : nullptr;
  if (PyContext_Exit(context) < 0) Py_CLEAR(result);
  if (error != nullptr) PyErr_SetRaisedException(error);
  return result;
}

// Lets go for an instant, and looks whether this task was interrupted: builtin functions do neither. False: it was.
bool breathe() {
  detached([] {});
  Executant* me = current_worker();
  return me == nullptr || !me->cell->interrupt_posted() || !raise_if_interrupted(*me);
}

// call_chunk(function, items, star) -> (results, error)
//
// `items` is a list that nobody else has: of arguments, or with `star` of tuples of arguments. Stops at the first item
// that raises: `results` are those before it, `error` is what it raised, else None.
PyObject* call_chunk(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 3 || !PyList_CheckExact(args[1])) {
    PyErr_SetString(PyExc_TypeError, "call_chunk(function, items: list, star: bool)");
    return nullptr;
  }
  PyObject* function = args[0];
  PyObject* items = args[1];
  const bool star = args[2] == Py_True;
  const Py_ssize_t count = PyList_GET_SIZE(items);
  PyObject* results = PyList_New(count);
  if (results == nullptr) return nullptr;
  PyThreadState* thread = PyThreadState_Get();
  const bool own_context = context_size(thread->context) > 0;
  PyObject* fresh = nullptr;  // entered in place of an empty context that an item has left something in
  Py_ssize_t done = 0;
  for (; done < count; ++done) {
    if (done % kBreath == kBreath - 1 && !breathe()) break;
    PyObject* item = PyList_GET_ITEM(items, done);
    // SAFETY: with `star` the caller made the tuples itself.
    PyObject* const* item_args = star ? reinterpret_cast<PyTupleObject*>(item)->ob_item : &item;
    const size_t item_count = star ? static_cast<size_t>(PyTuple_GET_SIZE(item)) : 1;
    PyObject* result;
    if (own_context) {
      PyObject* copy = PyContext_CopyCurrent();
      result = call_in(copy, function, item_args, item_count);
      Py_XDECREF(copy);
    } else {
      result = PyObject_Vectorcall(function, item_args, item_count, nullptr);
    }
    if (result == nullptr) break;
    PyList_SET_ITEM(results, done, result);
    if (!own_context && context_size(thread->context) > 0) {
      if (fresh != nullptr && PyContext_Exit(fresh) < 0) break;
      Py_XSETREF(fresh, PyContext_New());
      if (fresh == nullptr || PyContext_Enter(fresh) < 0) {
        Py_CLEAR(fresh);
        break;
      }
    }
  }
  PyObject* error = PyErr_GetRaisedException();
  if (fresh != nullptr) {
    if (PyContext_Exit(fresh) < 0) PyErr_WriteUnraisable(fresh);
    Py_DECREF(fresh);
  }
  if (done < count && PyList_SetSlice(results, done, count, nullptr) < 0) {
    Py_DECREF(results);
    Py_XDECREF(error);
    return nullptr;
  }
  if (error == nullptr) error = Py_NewRef(Py_None);
  return Py_BuildValue("(NN)", results, error);
}

}  // namespace

PyMethodDef chunk_functions[] = {
    {"call_chunk", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(call_chunk)), METH_FASTCALL,
     "call_chunk($module, function, items, star, /)\n--\n\n"
     "Call function for each item of a list; (results, error or None). Internal: what map() submits."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
