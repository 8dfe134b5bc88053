// What nobody calls per task: facts about the build and the process.
//
// pybind11 makes the dict, and binds nothing: its internals, which a first binding makes in each interpreter, are never
// freed, and with them no interpreter gives back its memory (2.5 MB each).
// Pinned by tests/actors/test_cycles.py.

#include "introspection.hpp"

#include <pybind11/pybind11.h>

#include <thread>

#include "future/future.hpp"
#include "pool/pool.hpp"

namespace weft::core {

namespace py = pybind11;

namespace {

py::dict build_info() {
  py::dict info;
  info["compiler"] =
#if defined(__clang__)
      "clang " __clang_version__;
#elif defined(__GNUC__)
      "gcc " __VERSION__;
#elif defined(_MSC_VER)
      "msvc";
#else
      "unknown";
#endif
  info["python"] = PY_VERSION;
  info["gil"] = kGil;
#ifdef NDEBUG
  info["assertions"] = false;
#else
  info["assertions"] = true;
#endif
#if defined(__linux__) && !defined(WEFT_PORTABLE_PARKING)
  info["parking"] = "futex";
#else
  info["parking"] = "mutex and condition variable";
#endif
  info["hardware_threads"] = std::thread::hardware_concurrency();
  info["future_bytes"] = sizeof(Future);
  return info;
}

PyObject* call_build_info(PyObject*, PyObject*) {
  try {
    return build_info().release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* in_worker(PyObject*, PyObject*) { return PyBool_FromLong(current_worker() != nullptr); }

PyObject* in_main_interpreter(PyObject*, PyObject*) {
  return PyBool_FromLong(PyInterpreterState_Get() == PyInterpreterState_Main());
}

PyObject* get_fork_generation(PyObject*, PyObject*) { return PyLong_FromUnsignedLong(fork_generation.load(sync::relaxed)); }

}  // namespace

PyMethodDef introspection_functions[] = {
    {"build_info", call_build_info, METH_NOARGS, "build_info($module, /)\n--\n\nHow this module was built, as a dict."},
    {"in_worker", in_worker, METH_NOARGS,
     "in_worker($module, /)\n--\n\nTrue on a worker thread of one of our pools."},
    {"in_main_interpreter", in_main_interpreter, METH_NOARGS,
     "in_main_interpreter($module, /)\n--\n\n"
     "True in the interpreter that the process began with, False in a sub-interpreter."},
    {"fork_generation", get_fork_generation, METH_NOARGS,
     "fork_generation($module, /)\n--\n\n"
     "How often this process has forked, seen from here: 0 in a process that is not a forked child."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
