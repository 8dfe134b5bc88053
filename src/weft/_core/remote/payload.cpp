#include "remote/payload.hpp"

#include <marshal.h>

#include <algorithm>

namespace weft::core {

namespace {

// The oldest format that has floats in binary; later ones keep a table of what they have written, which costs more than
// plain values are worth.
constexpr int kMarshalVersion = 2;
constexpr int kMostNodes = 256;
constexpr int kDeepest = 8;

bool is_plain_within(PyObject* object, int depth, int* budget) {
  if (object == Py_None || PyBool_Check(object) || PyLong_CheckExact(object) || PyFloat_CheckExact(object) ||
      PyUnicode_CheckExact(object) || PyBytes_CheckExact(object) || PyComplex_CheckExact(object)) {
    return true;
  }
  if (!PyTuple_CheckExact(object) || depth == kDeepest) return false;
  const Py_ssize_t size = PyTuple_GET_SIZE(object);
  if ((*budget -= static_cast<int>(std::min<Py_ssize_t>(size, kMostNodes + 1))) < 0) return false;
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (!is_plain_within(PyTuple_GET_ITEM(object, i), depth + 1, budget)) return false;
  }
  return true;
}

}  // namespace

PackedCall packed_call(Future* future) {
  PyObject** parts = future->call.args(future->arg_count);
  const Parcel* parcel = nullptr;
  // SAFETY: pack_call() put a capsule of a Parcel there, or None.
  if (parts[1] != Py_None) parcel = static_cast<const Parcel*>(PyCapsule_GetPointer(parts[1], nullptr));
  const auto view = [](PyObject* bytes) {
    return std::string_view(PyBytes_AS_STRING(bytes), static_cast<size_t>(PyBytes_GET_SIZE(bytes)));
  };
  if (parts[2] == Py_None) return {view(parts[0]), parcel, {}, 0};
  return {view(parts[0]), parcel, view(PyTuple_GET_ITEM(parts[2], 1)), PyLong_AsLong(PyTuple_GET_ITEM(parts[2], 0))};
}

PyObject* packed_subject(Future* future) {
  return future->arg_count < 4 ? nullptr : future->call.many[3];
}

bool is_plain(PyObject* object) {
  int budget = kMostNodes;
  return is_plain_within(object, 0, &budget);
}

PyObject* marshal_plain(PyObject* object) { return PyMarshal_WriteObjectToString(object, kMarshalVersion); }

PyObject* unmarshal(std::string_view bytes) {
  return PyMarshal_ReadObjectFromString(bytes.data(), static_cast<Py_ssize_t>(bytes.size()));
}

bool take_pickled(PyObject* pair, std::string_view* bytes, PyObject** buffers) {
  if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyBytes_CheckExact(PyTuple_GET_ITEM(pair, 0)) ||
      !PyList_CheckExact(PyTuple_GET_ITEM(pair, 1))) {
    PyErr_SetString(PyExc_SystemError, "weft._payloads: expected (bytes, list of buffers)");
    return false;
  }
  PyObject* data = PyTuple_GET_ITEM(pair, 0);
  *bytes = {PyBytes_AS_STRING(data), static_cast<size_t>(PyBytes_GET_SIZE(data))};
  *buffers = PyTuple_GET_ITEM(pair, 1);
  return true;
}

}  // namespace weft::core
