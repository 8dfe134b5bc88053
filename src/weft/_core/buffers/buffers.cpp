#include "buffers/buffers.hpp"

#include <bit>
#include <cstring>

namespace weft::core {

namespace {

constexpr const char* kNames[] = {"float32", "float64", "int32", "int64"};

// True if a buffer's format is one number of ours. Letters differ between platforms ('l'), so the size decides.
bool dtype_of(const Py_buffer& view, Dtype& dtype) {
  const char* format = view.format == nullptr ? "B" : view.format;
  constexpr char kOurs = std::endian::native == std::endian::little ? '<' : '>';
  if (*format == '@' || *format == '=' || *format == kOurs) ++format;
  if (*format == '\0' || format[1] != '\0') return false;
  if (std::strchr("fd", *format) != nullptr) {
    dtype = view.itemsize == 4 ? Dtype::float32 : Dtype::float64;
  } else if (std::strchr("ilq", *format) != nullptr && (view.itemsize == 4 || view.itemsize == 8)) {
    dtype = view.itemsize == 4 ? Dtype::int32 : Dtype::int64;
  } else {
    return false;
  }
  return true;
}

bool aligned(const Py_buffer& view) {
  return view.len == 0 || reinterpret_cast<uintptr_t>(view.buf) % static_cast<uintptr_t>(view.itemsize) == 0;
}

PyObject* tuple_of(const Py_ssize_t* values, int count) {
  PyObject* tuple = PyTuple_New(count);
  for (int i = 0; tuple != nullptr && i < count; ++i) {
    PyObject* value = PyLong_FromSsize_t(values[i]);
    if (value == nullptr) {
      Py_CLEAR(tuple);
    } else {
      PyTuple_SET_ITEM(tuple, i, value);
    }
  }
  return tuple;
}

void refuse_type(PyObject* object, const char* name) {
  PyErr_Format(PyExc_TypeError,
               "%s must be a buffer of float32, float64, int32 or int64 (a numpy array, an array.array, a memoryview), not "
               "%s; make one with array.array('d', values) or numpy.asarray(values)",
               name, Py_TYPE(object)->tp_name);
}

void refuse_layout(const Py_buffer& view, const char* name) {
  Owned shape(tuple_of(view.shape, view.ndim));
  Owned strides(shape && view.strides != nullptr ? tuple_of(view.strides, view.ndim) : nullptr);
  if (!strides) return;
  PyErr_Format(PyExc_TypeError,
               "%s is not C-contiguous (shape %R, strides %R in bytes), and nothing is copied silently; pass a contiguous "
               "copy: numpy.ascontiguousarray(%s)",
               name, shape.get(), strides.get(), name);
}

}  // namespace

const char* name_of(Dtype dtype) { return kNames[static_cast<size_t>(dtype)]; }

size_t size_of(Dtype dtype) { return dtype == Dtype::float32 || dtype == Dtype::int32 ? 4 : 8; }

void Buffers::release() {
  for (Buffer& buffer : of) {
    if (buffer.held) PyBuffer_Release(&buffer.view);
    buffer.held = false;
  }
}

bool acquire(Buffer& buffer, PyObject* object, const char* name, bool writable) {
  buffer.name = name;
  if (!PyObject_CheckBuffer(object)) {
    refuse_type(object, name);
    return false;
  }
  // Strides are asked for so that we, and not the exporter, refuse what is not contiguous; the same with read-only.
  if (PyObject_GetBuffer(object, &buffer.view, PyBUF_STRIDES | PyBUF_FORMAT) < 0) {
    // An exporter that cannot describe its elements: numpy's dates, for one.
    if (PyErr_ExceptionMatches(PyExc_BufferError) || PyErr_ExceptionMatches(PyExc_ValueError)) {
      PyErr_Clear();
      refuse_type(object, name);
    }
    return false;
  }
  buffer.held = true;
  const Py_buffer& view = buffer.view;
  if (!dtype_of(view, buffer.dtype)) {
    PyErr_Format(PyExc_TypeError,
                 "%s has elements of format %s (%zd bytes each); weft's kernels take float32, float64, int32 and int64 in "
                 "the machine's byte order: convert it with %s.astype('float64')",
                 name, view.format == nullptr ? "B" : view.format, view.itemsize, name);
    return false;
  }
  if (view.ndim == 0) {
    PyErr_Format(PyExc_TypeError, "%s is a single number, not an array; pass a buffer of one dimension or more", name);
    return false;
  }
  if (!PyBuffer_IsContiguous(&view, 'C')) {
    refuse_layout(view, name);
    return false;
  }
  if (!aligned(view)) {
    PyErr_Format(PyExc_TypeError,
                 "%s is not aligned: its memory does not begin at a multiple of its %zd-byte elements; pass a copy of it", name,
                 view.itemsize);
    return false;
  }
  if (writable && view.readonly) {
    PyErr_Format(PyExc_TypeError, "%s is read-only, and the result goes there; pass a writable buffer (a copy of it)", name);
    return false;
  }
  buffer.size = static_cast<size_t>(view.len / view.itemsize);
  return true;
}

int supported(PyObject* object) {
  if (!PyObject_CheckBuffer(object)) return 0;
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_STRIDES | PyBUF_FORMAT) < 0) {
    if (!PyErr_ExceptionMatches(PyExc_BufferError) && !PyErr_ExceptionMatches(PyExc_ValueError)) return -1;
    PyErr_Clear();
    return 0;
  }
  Dtype dtype;
  const bool ours = dtype_of(view, dtype) && view.ndim > 0 && PyBuffer_IsContiguous(&view, 'C') && aligned(view);
  PyBuffer_Release(&view);
  return ours ? 1 : 0;
}

bool check_same_dtype(const Buffer& a, const Buffer& b) {
  if (a.dtype == b.dtype) return true;
  PyErr_Format(PyExc_TypeError, "%s is %s and %s is %s, and nothing is converted silently; convert one: %s.astype('%s')", a.name,
               name_of(a.dtype), b.name, name_of(b.dtype), b.name, name_of(a.dtype));
  return false;
}

bool check_same_size(const Buffer& a, const Buffer& b) {
  if (a.size == b.size) return true;
  PyErr_Format(PyExc_ValueError, "%s has %zu elements and %s has %zu; they must have the same number", a.name, a.size, b.name,
               b.size);
  return false;
}

bool check_overlap(const Buffer& to, const Buffer& from, bool or_same) {
  const auto begin = reinterpret_cast<uintptr_t>(to.view.buf), other = reinterpret_cast<uintptr_t>(from.view.buf);
  const auto length = static_cast<uintptr_t>(to.view.len), other_length = static_cast<uintptr_t>(from.view.len);
  if (length == 0 || other_length == 0 || begin + length <= other || other + other_length <= begin) return true;
  if (or_same && begin == other && length == other_length) return true;
  PyErr_Format(PyExc_ValueError, or_same ? "%s overlaps %s without being the same memory; pass a buffer of its own"
                                         : "%s shares memory with %s; pass a buffer of its own",
               to.name, from.name);
  return false;
}

}  // namespace weft::core
