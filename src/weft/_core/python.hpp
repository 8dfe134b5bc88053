// Python.h, and the few words that every file here uses. Include this first.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>

#include "sync/atomic.hpp"
#include "sync/clock.hpp"

namespace weft::core {

using sync::Atomic;
using sync::Nanos;

#ifdef Py_GIL_DISABLED
inline constexpr bool kGil = false;
#else
inline constexpr bool kGil = true;
#endif

// One strong reference with an owner.
//
// Not for frames that call into a task: when a daemon thread attaches after the interpreter's end, CPython 3.13 ends
// it with pthread_exit, which would run destructors without a thread state. Those frames hold plain pointers.
class Owned {
 public:
  Owned() = default;
  explicit Owned(PyObject* given) : object_(given) {}  // takes the reference over
  Owned(Owned&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    Py_XSETREF(object_, std::exchange(other.object_, nullptr));
    return *this;
  }
  ~Owned() { Py_XDECREF(object_); }  // SAFETY: the one reference taken over in the constructor

  PyObject* get() const { return object_; }
  PyObject* give() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

// Runs `body`, which touches no Python object, without the thread state (the GIL, where there is one).
//
// Not a guard object: attaching again may end the thread (see Owned), which must not happen in a destructor.
template <class Body>
void detached(Body&& body) {
  PyThreadState* state = PyEval_SaveThread();
  body();
  PyEval_RestoreThread(state);
}

}  // namespace weft::core
