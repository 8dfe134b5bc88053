// What the kernels work on: memory of other objects, checked once and held until nobody touches it any more.
//
// A Buffer is plain data and must be released by hand, attached: it lives in frames that let go of the thread state
// (see Owned in python.hpp). The exporter cannot move or free its memory while it is held: array.array refuses to
// grow.
#pragma once

#include <cstdint>

#include "python.hpp"

namespace weft::core {

enum class Dtype : uint8_t { float32, float64, int32, int64 };

const char* name_of(Dtype);
size_t size_of(Dtype);

struct Buffer {
  Py_buffer view;
  bool held;
  Dtype dtype;
  size_t size;  // elements
  const char* name;

  template <class T>
  T* data() const {
    return static_cast<T*>(view.buf);  // SAFETY: format, item size and alignment were checked by acquire()
  }
};

// The buffers of one call, released together.
struct Buffers {
  Buffer of[3];
  void release();
};

// C-contiguous, aligned, of a dtype that we know, of one dimension or more. False: an exception that says what to do.
bool acquire(Buffer&, PyObject* object, const char* name, bool writable);
// True if acquire would succeed for reading; sets no exception. -1: an exception that is none of ours.
int supported(PyObject* object);

// Both false with an exception set.
bool check_same_dtype(const Buffer&, const Buffer&);
bool check_same_size(const Buffer&, const Buffer&);
// The two are the same memory, or have none in common; `or_same` false: the latter only.
bool check_overlap(const Buffer& to, const Buffer& from, bool or_same);

// Calls `body` with a value of the element type.
template <class Body>
auto with_type(Dtype dtype, Body&& body) {
  switch (dtype) {
    case Dtype::float32:
      return body(float{});
    case Dtype::float64:
      return body(double{});
    case Dtype::int32:
      return body(int32_t{});
    default:
      return body(int64_t{});
  }
}

}  // namespace weft::core
