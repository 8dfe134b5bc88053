#include "remote/own_interpreter.hpp"

#include <string>
#include <vector>

namespace weft::core {

namespace {

constexpr const char* kSpare = "weft.spare_interpreter";

// sys.path of this interpreter, as bytes that another one can decode.
std::vector<std::string> search_path() {
  std::vector<std::string> folders;
  Owned path(Py_XNewRef(PySys_GetObject("path")));  // SAFETY: borrowed from sys, held while it is copied
  if (!path || !PyList_Check(path.get())) return folders;
  Owned copy(PyList_AsTuple(path.get()));  // other threads may change it
  for (Py_ssize_t i = 0; copy && i < PyTuple_GET_SIZE(copy.get()); ++i) {
    PyObject* folder = PyTuple_GET_ITEM(copy.get(), i);
    Owned bytes(PyUnicode_Check(folder) ? PyUnicode_EncodeFSDefault(folder) : nullptr);
    if (bytes) folders.emplace_back(PyBytes_AS_STRING(bytes.get()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.get())));
  }
  PyErr_Clear();
  return folders;
}

// Best effort: what then cannot be imported says so.
void search_in(const std::vector<std::string>& folders) {
  Owned path(PyList_New(0));
  for (const std::string& folder : folders) {
    Owned name(path ? PyUnicode_DecodeFSDefaultAndSize(folder.data(), static_cast<Py_ssize_t>(folder.size())) : nullptr);
    if (name) PyList_Append(path.get(), name.get());
  }
  if (path && !folders.empty()) PySys_SetObject("path", path.get());
  PyErr_Clear();
}

// SAFETY: a capsule of this name holds what make_spare_interpreter() put there.
PyInterpreterState* interpreter_in(PyObject* capsule) {
  return static_cast<PyInterpreterState*>(PyCapsule_GetPointer(capsule, kSpare));
}

PyObject* make_spare_interpreter(PyObject*, PyObject*) {
  PyThreadState* ours = PyThreadState_Get();
  PyThreadState* made = enter_new_interpreter(true);
  if (made == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "no interpreter could be made");
    return nullptr;
  }
  PyInterpreterState* interpreter = PyInterpreterState_Get();
  for (const char* name : {"warnings", "weft._payloads.working", "weft._payloads.asides", "weft._payloads.starting"}) {
    Owned module(PyImport_ImportModule(name));
    PyErr_Clear();  // a worker says what is wrong
  }
  PyThreadState_Clear(made);
  PyThreadState_Swap(ours);
  PyThreadState_Delete(made);
  return PyCapsule_New(interpreter, kSpare, nullptr);
}

PyObject* end_spare_interpreter(PyObject*, PyObject* capsule) {
  PyInterpreterState* interpreter = interpreter_in(capsule);
  if (interpreter == nullptr) return nullptr;
  PyThreadState* ours = PyThreadState_Get();
  PyThreadState* last = PyThreadState_New(interpreter);
  PyThreadState_Swap(last);
  Py_EndInterpreter(last);
  PyThreadState_Swap(ours);
  Py_RETURN_NONE;
}

}  // namespace

PyThreadState* enter_new_interpreter(bool own_gil) {
  const std::vector<std::string> folders = search_path();
  PyInterpreterConfig config{};
  config.use_main_obmalloc = own_gil ? 0 : 1;
  config.allow_fork = own_gil ? 0 : 1;
  config.allow_exec = own_gil ? 0 : 1;
  config.allow_threads = 1;
  config.allow_daemon_threads = own_gil ? 0 : 1;
  config.check_multi_interp_extensions = own_gil ? 1 : 0;
  config.gil = own_gil ? PyInterpreterConfig_OWN_GIL : PyInterpreterConfig_SHARED_GIL;
  PyThreadState* made = nullptr;
  const PyStatus status = Py_NewInterpreterFromConfig(&made, &config);
  if (PyStatus_Exception(status)) return nullptr;
  search_in(folders);
  return made;
}

PyThreadState* enter_own_interpreter(PyObject* spares) {
  PyObject* spare = PyObject_CallNoArgs(spares);
  if (spare == nullptr) PyErr_WriteUnraisable(spares);
  PyInterpreterState* interpreter = spare == nullptr || spare == Py_None ? nullptr : interpreter_in(spare);
  if (PyErr_Occurred()) PyErr_WriteUnraisable(spares);
  Py_XDECREF(spare);  // SAFETY: the call's result; a capsule does not own the interpreter
  if (interpreter == nullptr) return enter_new_interpreter(true);
  PyThreadState* entered = PyThreadState_New(interpreter);
  PyThreadState_Swap(entered);
  return entered;
}

PyMethodDef spare_functions[] = {
    {"make_spare_interpreter", make_spare_interpreter, METH_NOARGS,
     "make_spare_interpreter($module, /)\n--\n\n"
     "An interpreter that is ready to become a worker. It has to become one, or to be ended. Internal."},
    {"end_spare_interpreter", end_spare_interpreter, METH_O,
     "end_spare_interpreter($module, spare, /)\n--\n\n"
     "End an interpreter that has not become a worker. Internal."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
