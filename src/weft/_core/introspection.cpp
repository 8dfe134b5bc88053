// What nobody calls per task: facts about the build and the process. Bound with pybind11.

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

}  // namespace

void bind_introspection(PyObject* module) {
  auto bound = py::reinterpret_borrow<py::module_>(module);
  bound.def("build_info", &build_info, "How this module was built, as a dict.");
  bound.def("in_worker", [] { return current_worker() != nullptr; }, "True on a worker thread of one of our pools.");
  bound.def("in_main_interpreter", [] { return PyInterpreterState_Get() == PyInterpreterState_Main(); },
            "True in the interpreter that the process began with, False in a sub-interpreter.");
  bound.def("fork_generation", [] { return fork_generation.load(sync::relaxed); },
            "How often this process has forked, seen from here: 0 in a process that is not a forked child.");
}

}  // namespace weft::core
