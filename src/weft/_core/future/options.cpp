#include "future/options.hpp"

#include <cmath>
#include <cstddef>

namespace weft::core {

namespace {

constexpr double kLongest = 1e9;  // seconds, 30 years: more is "no limit"

Nanos to_nanos(double seconds) {
  return seconds >= kLongest ? sync::kForever : static_cast<Nanos>(std::llround(seconds * 1e9));
}

// TaskOptions(timeout, retries, backoff, retry_on, priority, name, context). Values are checked by the Python side,
// which knows the words for what is wrong; here only their types matter.
PyObject* options_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"timeout", "retries", "backoff", "retry_on", "priority", "name", "context", nullptr};
  PyObject *timeout, *retry_on, *name, *context;
  unsigned int retries;
  double backoff;
  int priority;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OIdOiOO", const_cast<char**>(names), &timeout, &retries, &backoff,
                                   &retry_on, &priority, &name, &context)) {
    return nullptr;
  }
  Nanos limit = sync::kForever;
  if (timeout != Py_None) {
    const double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) return nullptr;
    limit = to_nanos(seconds);
  }
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) return nullptr;
  auto* self = reinterpret_cast<TaskOptions*>(object);  // SAFETY: allocated with this type
  self->timeout = limit;
  self->retries = retries;
  self->backoff = to_nanos(backoff);
  self->retry_on = Py_NewRef(retry_on);
  self->priority = priority;
  self->name = name == Py_None ? nullptr : Py_NewRef(name);
  self->context = PyContext_CheckExact(context) ? Py_NewRef(context) : nullptr;
  self->copy_context = PyUnicode_Check(context) && PyUnicode_CompareWithASCIIString(context, "copy") == 0;
  return object;
}

int options_traverse(PyObject* object, visitproc visit, void* arg) {
  auto* self = reinterpret_cast<TaskOptions*>(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->retry_on);
  Py_VISIT(self->name);
  Py_VISIT(self->context);
  return 0;
}

int options_clear(PyObject* object) {
  auto* self = reinterpret_cast<TaskOptions*>(object);
  Py_CLEAR(self->retry_on);
  Py_CLEAR(self->name);
  Py_CLEAR(self->context);
  return 0;
}

void options_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  options_clear(object);
  type->tp_free(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
}

PyMemberDef options_members[] = {
    {"retries", Py_T_UINT, offsetof(TaskOptions, retries), Py_READONLY, "how often a failed task is run again"},
    {"priority", Py_T_INT, offsetof(TaskOptions, priority), Py_READONLY, "higher first; 0 is ordinary"},
    {"name", _Py_T_OBJECT, offsetof(TaskOptions, name), Py_READONLY, "the tasks' name, or None"},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot options_slots[] = {
    {Py_tp_doc, const_cast<char*>("What Executor.options() asks for its tasks. Internal: made by options().")},
    {Py_tp_new, reinterpret_cast<void*>(options_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(options_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(options_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(options_dealloc)},
    {Py_tp_members, options_members},
    {0, nullptr},
};

}  // namespace

PyType_Spec options_spec = {
    "weft._core.TaskOptions",
    sizeof(TaskOptions),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    options_slots,
};

}  // namespace weft::core
