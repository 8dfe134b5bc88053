// The Python side of native/kernels: functions over buffers, called attached; they let go of the thread state to work.
//
// kernels.cpp has what weft.parallel is made of, kernels_linear.cpp what weft.kernels is, kernel_numbers.cpp the
// numbers that go in and come out. No function here has a frame with an object that owns a Python reference while it
// is detached (see Owned in python.hpp): buffers are released by hand.
#pragma once

#include <new>

#include "buffers/buffers.hpp"
#include "buffers/region.hpp"
#include "kernels/reduce.hpp"

namespace weft::core {

using kernels::Chunking;
using kernels::Compare;
using kernels::Op;

// ---- numbers: false or null with an exception set -----------------------------------------------------------------

bool parse_op(PyObject*, Op&);
bool parse_chunking(PyObject*, Chunking&);
// A number for elements of this type: a whole number within its range, or a float.
bool parse_number(PyObject*, const char* name, float&);
bool parse_number(PyObject*, const char* name, double&);
bool parse_number(PyObject*, const char* name, int32_t&);
bool parse_number(PyObject*, const char* name, int64_t&);

// "x compare value", for every number that Python has, exactly: possibly another comparison, or the same answer for
// all.
template <class T>
struct Predicate {
  Compare compare;
  kernels::Value<T> value;
  bool constant;  // `answer` for every element
  bool answer;
};
template <class T>
bool parse_predicate(PyObject* compare, PyObject* value, Predicate<T>&);

PyObject* to_python(double);
PyObject* to_python(int32_t);
PyObject* to_python(int64_t);
PyObject* to_python(const kernels::Wide&);
PyObject* to_python(const kernels::Product&);  // OverflowError where it is too large

// Names the type and the remedy.
void raise_overflow(const Buffer&, const char* what);

// ---- calls --------------------------------------------------------------------------------------------------------

// The number of arguments, which nobody but weft gets wrong.
bool check_count(const char* function, Py_ssize_t given, Py_ssize_t wanted);

// Who works for this call: `executor` is None or a pool of ours.
inline bool open_team(PyObject* module, PyObject* executor, PoolCore*& core) {
  core = executor == Py_None ? nullptr : open_pool_of(executor, static_cast<State*>(PyModule_GetState(module)));
  return executor == Py_None || core != nullptr;
}

// Runs the body of a call and releases its buffers whatever happens.
template <class Body>
PyObject* with_buffers(Body&& body) {
  Buffers buffers{};
  PyObject* result = nullptr;
  try {
    result = body(buffers.of);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  }
  buffers.release();
  return result;
}

// What a reduction found, in Python. `found` empty: stopped, with an exception set.
template <class R>
PyObject* reduced_to_python(const std::optional<R>& found) {
  return found ? to_python(*found) : nullptr;
}

// Calls `body.operator()<kOp>()` for the operation.
template <class Body>
auto with_op(Op op, Body&& body) {
  switch (op) {
    case Op::add:
      return body.template operator()<Op::add>();
    case Op::mul:
      return body.template operator()<Op::mul>();
    case Op::min:
      return body.template operator()<Op::min>();
    default:
      return body.template operator()<Op::max>();
  }
}

extern PyMethodDef kernel_functions[];
extern PyMethodDef linear_functions[];

}  // namespace weft::core
