// Algorithms over buffers: what weft.parallel calls when no Python code is needed.

#include "buffers/kernels.hpp"

#include <limits>
#include <memory>

#include "kernels/elementwise.hpp"
#include "kernels/scan.hpp"
#include "kernels/sort.hpp"


namespace weft::core {

namespace {

using Args = PyObject* const*;

// b of a transform: a buffer, or one number for all. numpy's scalars are buffers too, without a dimension.
template <class T>
struct Other {
  const T* data;
  bool stretched;
  T one;
};

bool is_number(PyObject* object) {
  if (PyFloat_Check(object) || PyLong_Check(object) || !PyObject_CheckBuffer(object)) return true;
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_STRIDES | PyBUF_FORMAT) < 0) {
    PyErr_Clear();  // acquire() says what is wrong with it
    return false;
  }
  const bool scalar = view.ndim == 0;
  PyBuffer_Release(&view);
  return scalar;
}

// The buffer, if b is one.
bool acquire_other(Buffer& buffer, PyObject* b, const Buffer& a) {
  return is_number(b) || (acquire(buffer, b, "b", false) && check_same_dtype(a, buffer) && check_same_size(a, buffer));
}

template <class T>
bool parse_other(const Buffer& buffer, PyObject* b, Other<T>& other) {
  other.stretched = !buffer.held;
  if (other.stretched && !parse_number(b, "b", other.one)) return false;
  other.data = other.stretched ? &other.one : buffer.data<T>();
  return true;
}

PyObject* refuse_empty(const Buffer& buffer) {
  PyErr_Format(PyExc_ValueError, "%s is empty, and there is nothing to begin with; give an init", buffer.name);
  return nullptr;
}

// ---- reduce -------------------------------------------------------------------------------------------------------

double apply(Op op, double a, double b) {
  if (op == Op::add) return a + b;
  if (op == Op::mul) return a * b;
  if (a != a || b != b) return a + b;  // NaN
  return op == Op::min ? (b < a ? b : a) : (b > a ? b : a);
}

// init op result, in Python's numbers for integers: exact, whatever their size. Takes `result` over; null stays null.
PyObject* begin_with(PyObject* init, Op op, PyObject* result, bool floats) {
  if (result == nullptr || init == Py_None) return result;
  PyObject* combined = nullptr;
  if (floats) {
    combined = PyFloat_FromDouble(apply(op, PyFloat_AsDouble(init), PyFloat_AS_DOUBLE(result)));
  } else if (op == Op::add || op == Op::mul) {
    combined = op == Op::add ? PyNumber_Add(init, result) : PyNumber_Multiply(init, result);
  } else {
    const int better = PyObject_RichCompareBool(result, init, op == Op::min ? Py_LT : Py_GT);
    combined = better < 0 ? nullptr : Py_NewRef(better != 0 ? result : init);
  }
  Py_DECREF(result);
  return combined;
}

// init as a number of the result's kind (a new reference), None as it is; null with an exception set.
PyObject* checked_init(PyObject* init, const Buffer& buffer) {
  if (init == Py_None) return Py_NewRef(init);
  if (buffer.dtype == Dtype::float32 || buffer.dtype == Dtype::float64) {
    double value;
    return parse_number(init, "init", value) ? PyFloat_FromDouble(value) : nullptr;
  }
  PyObject* whole = PyNumber_Index(init);
  if (whole == nullptr && PyErr_ExceptionMatches(PyExc_TypeError)) {
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "init must be a whole number for a buffer of %s, not %R", name_of(buffer.dtype), init);
  }
  return whole;
}

bool is_float(const Buffer& buffer) { return buffer.dtype == Dtype::float32 || buffer.dtype == Dtype::float64; }

// buffer_reduce(executor, src, op, init, chunk)
PyObject* buffer_reduce(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  Op op;
  Chunking chunking;
  if (!check_count("buffer_reduce", count, 5) || !parse_op(args[2], op) || !parse_chunking(args[4], chunking) ||
      !open_team(module, args[0], core)) {
    return nullptr;
  }
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer& src = buffers[0];
    if (!acquire(src, args[1], "src", false)) return nullptr;
    PyObject* init = checked_init(args[3], src);
    if (init == nullptr) return nullptr;
    PyObject* result;
    if (src.size == 0) {
      result = init == Py_None ? refuse_empty(src) : Py_NewRef(init);
    } else {
      PoolTeam team(module, args[0], core);
      result = with_type(src.dtype, [&](auto kind) {
        using T = decltype(kind);
        return with_op(op, [&]<Op kOp>() {
          return reduced_to_python(kernels::reduce<T, kOp>(team, src.data<T>(), src.size, chunking));
        });
      });
      result = begin_with(init, op, result, is_float(src));
    }
    Py_DECREF(init);
    return result;
  });
}

// buffer_transform_reduce(executor, a, b, transform_op, reduce_op, init, chunk)
PyObject* buffer_transform_reduce(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  Op transform, reduce;
  Chunking chunking;
  if (!check_count("buffer_transform_reduce", count, 7) || !parse_op(args[3], transform) || !parse_op(args[4], reduce) ||
      !parse_chunking(args[6], chunking) || !open_team(module, args[0], core)) {
    return nullptr;
  }
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer &a = buffers[0], &b = buffers[1];
    if (!acquire(a, args[1], "a", false) || !acquire_other(b, args[2], a)) return nullptr;
    PyObject* init = checked_init(args[5], a);
    if (init == nullptr) return nullptr;
    PoolTeam team(module, args[0], core);
    PyObject* result = with_type(a.dtype, [&](auto kind) -> PyObject* {
      using T = decltype(kind);
      Other<T> other;
      if (!parse_other(b, args[2], other)) return nullptr;
      if (a.size == 0) return init == Py_None ? refuse_empty(a) : Py_NewRef(init);
      if (transform == Op::mul && reduce == Op::add) {
        return reduced_to_python(kernels::dot<T>(team, a.data<T>(), other.data, other.stretched, a.size, chunking));
      }
      return with_op(reduce, [&]<Op kReduce>() -> PyObject* {
        bool overflow = false;
        const auto found = kernels::transform_reduce<T, kReduce>(team, a.data<T>(), other.data, other.stretched, transform, a.size,
                                                                 chunking, overflow);
        if (found && overflow) {
          raise_overflow(a, "an element of the transform");
          return nullptr;
        }
        return reduced_to_python(found);
      });
    });
    if (a.size != 0) result = begin_with(init, reduce, result, is_float(a));
    Py_DECREF(init);
    return result;
  });
}

// ---- scan and transform -------------------------------------------------------------------------------------------

PyObject* none_unless(bool failed) { return failed ? nullptr : Py_NewRef(Py_None); }

// buffer_scan(executor, src, dst, op, inclusive, init, chunk)
PyObject* buffer_scan(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  Op op;
  Chunking chunking;
  if (!check_count("buffer_scan", count, 7) || !parse_op(args[3], op) || !parse_chunking(args[6], chunking) ||
      !open_team(module, args[0], core)) {
    return nullptr;
  }
  const int inclusive = PyObject_IsTrue(args[4]);
  if (inclusive < 0) return nullptr;
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer &src = buffers[0], &dst = buffers[1];
    if (!acquire(src, args[1], "src", false) || !acquire(dst, args[2], "dst", true) || !check_same_dtype(src, dst) ||
        !check_same_size(src, dst) || !check_overlap(dst, src, true)) {
      return nullptr;
    }
    PoolTeam team(module, args[0], core);
    return with_type(src.dtype, [&](auto kind) -> PyObject* {
      using T = decltype(kind);
      kernels::Running<T> init{};
      const bool given = args[5] != Py_None;
      if (given && !parse_number(args[5], "init", init)) return nullptr;
      if (src.size == 0) Py_RETURN_NONE;
      const auto done = kernels::scan<T>(team, src.data<T>(), dst.data<T>(), src.size, op, inclusive != 0, given ? &init : nullptr,
                                         chunking);
      if (done == kernels::Scanned::overflow) raise_overflow(dst, "an element of the scan");
      return none_unless(done != kernels::Scanned::done);
    });
  });
}

// buffer_transform(executor, a, b, dst, op, chunk)
PyObject* buffer_transform(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  Op op;
  Chunking chunking;
  if (!check_count("buffer_transform", count, 6) || !parse_op(args[4], op) || !parse_chunking(args[5], chunking) ||
      !open_team(module, args[0], core)) {
    return nullptr;
  }
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer &a = buffers[0], &b = buffers[1], &dst = buffers[2];
    if (!acquire(a, args[1], "a", false) || !acquire_other(b, args[2], a) || !acquire(dst, args[3], "dst", true) ||
        !check_same_dtype(a, dst) || !check_same_size(a, dst) || !check_overlap(dst, a, true) ||
        (b.held && !check_overlap(dst, b, true))) {
      return nullptr;
    }
    PoolTeam team(module, args[0], core);
    return with_type(a.dtype, [&](auto kind) -> PyObject* {
      using T = decltype(kind);
      Other<T> other;
      if (!parse_other(b, args[2], other)) return nullptr;
      const auto done = kernels::transform<T>(team, a.data<T>(), other.data, other.stretched, dst.data<T>(), a.size, op, chunking);
      if (done == kernels::Transformed::overflow) raise_overflow(dst, "an element of the transform");
      return none_unless(done != kernels::Transformed::done);
    });
  });
}

// ---- looking ------------------------------------------------------------------------------------------------------

// Both: (executor, src, compare, value, chunk). `body` has the type's predicate.
template <class Body>
PyObject* look(const char* name, PyObject* module, Args args, Py_ssize_t count, Body&& body) {
  PoolCore* core;
  Chunking chunking;
  if (!check_count(name, count, 5) || !parse_chunking(args[4], chunking) ||
      !open_team(module, args[0], core)) {
    return nullptr;
  }
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer& src = buffers[0];
    if (!acquire(src, args[1], "src", false)) return nullptr;
    PoolTeam team(module, args[0], core);
    return with_type(src.dtype, [&](auto kind) -> PyObject* {
      Predicate<decltype(kind)> predicate;
      if (!parse_predicate(args[2], args[3], predicate)) return nullptr;
      return body(team, src, predicate, chunking);
    });
  });
}

PyObject* buffer_count(PyObject* module, Args args, Py_ssize_t count) {
  return look("buffer_count", module, args, count,
              []<class T>(PoolTeam& team, const Buffer& src, const Predicate<T>& predicate, Chunking chunking)
                  -> PyObject* {
                size_t found = predicate.answer ? src.size : 0;
                if (!predicate.constant &&
                    !kernels::count<T>(team, src.data<T>(), src.size, predicate.compare, predicate.value, chunking, found)) {
                  return nullptr;
                }
                return PyLong_FromSize_t(found);
              });
}

PyObject* buffer_find(PyObject* module, Args args, Py_ssize_t count) {
  return look("buffer_find", module, args, count,
              []<class T>(PoolTeam& team, const Buffer& src, const Predicate<T>& predicate, Chunking chunking)
                  -> PyObject* {
                size_t found = predicate.answer ? 0 : src.size;
                if (!predicate.constant &&
                    !kernels::find<T>(team, src.data<T>(), src.size, predicate.compare, predicate.value, chunking, found)) {
                  return nullptr;
                }
                return PyLong_FromSsize_t(found >= src.size ? -1 : static_cast<Py_ssize_t>(found));
              });
}

// ---- sort, fill, copy, iota ---------------------------------------------------------------------------------------

// buffer_sort(executor, buf, reverse, stable, chunk): always stable, see native/kernels/sort.hpp.
PyObject* buffer_sort(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  Chunking chunking;
  if (!check_count("buffer_sort", count, 5) || !parse_chunking(args[4], chunking) ||
      !open_team(module, args[0], core)) {
    return nullptr;
  }
  const int reverse = PyObject_IsTrue(args[2]);
  if (reverse < 0) return nullptr;
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer& buf = buffers[0];
    if (!acquire(buf, args[1], "buf", true)) return nullptr;
    if (buf.size < 2) Py_RETURN_NONE;
    PoolTeam team(module, args[0], core);
    return with_type(buf.dtype, [&](auto kind) -> PyObject* {
      using T = decltype(kind);
      const std::unique_ptr<T[]> scratch(new T[buf.size]);
      return none_unless(!kernels::sort<T>(team, buf.data<T>(), scratch.get(), buf.size, reverse != 0));
    });
  });
}

// buffer_fill(executor, dst, value, chunk)
PyObject* buffer_fill(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  Chunking chunking;
  if (!check_count("buffer_fill", count, 4) || !parse_chunking(args[3], chunking) ||
      !open_team(module, args[0], core)) {
    return nullptr;
  }
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer& dst = buffers[0];
    if (!acquire(dst, args[1], "dst", true)) return nullptr;
    PoolTeam team(module, args[0], core);
    return with_type(dst.dtype, [&](auto kind) -> PyObject* {
      using T = decltype(kind);
      T value;
      if (!parse_number(args[2], "value", value)) return nullptr;
      return none_unless(!kernels::fill<T>(team, dst.data<T>(), dst.size, value, chunking));
    });
  });
}

// buffer_copy(executor, src, dst, chunk)
PyObject* buffer_copy(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  Chunking chunking;
  if (!check_count("buffer_copy", count, 4) || !parse_chunking(args[3], chunking) ||
      !open_team(module, args[0], core)) {
    return nullptr;
  }
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer &src = buffers[0], &dst = buffers[1];
    if (!acquire(src, args[1], "src", false) || !acquire(dst, args[2], "dst", true) || !check_same_dtype(src, dst) ||
        !check_same_size(src, dst) || !check_overlap(dst, src, true)) {
      return nullptr;
    }
    PoolTeam team(module, args[0], core);
    return with_type(src.dtype, [&](auto kind) {
      using T = decltype(kind);
      return none_unless(!kernels::copy<T>(team, src.data<T>(), dst.data<T>(), src.size, chunking));
    });
  });
}

// True if start + step * (size - 1) fits too; whatever lies between does then.
bool last_fits(int64_t start, int64_t step, size_t size, int64_t least, int64_t most) {
  kernels::Wide last = kernels::Wide::product(step, static_cast<int64_t>(size - 1));
  last.add(kernels::Wide::of(start));
  return last.fits() && last.value() >= least && last.value() <= most;
}

// buffer_iota(executor, dst, start, step, chunk)
PyObject* buffer_iota(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  Chunking chunking;
  if (!check_count("buffer_iota", count, 5) || !parse_chunking(args[4], chunking) ||
      !open_team(module, args[0], core)) {
    return nullptr;
  }
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer& dst = buffers[0];
    if (!acquire(dst, args[1], "dst", true)) return nullptr;
    PoolTeam team(module, args[0], core);
    return with_type(dst.dtype, [&](auto kind) -> PyObject* {
      using T = decltype(kind);
      kernels::Value<T> start;
      kernels::Running<T> step;  // of integers any int64: a step of 2^40 fits an int32 buffer of one element
      if (!parse_number(args[2], "start", start) || !parse_number(args[3], "step", step)) return nullptr;
      if (dst.size == 0) Py_RETURN_NONE;
      if constexpr (std::is_integral_v<T>) {
        if (!last_fits(start, step, dst.size, std::numeric_limits<T>::min(), std::numeric_limits<T>::max())) {
          raise_overflow(dst, "the last number");
          return nullptr;
        }
      }
      return none_unless(!kernels::iota<T>(team, dst.data<T>(), dst.size, start, static_cast<kernels::Value<T>>(step), chunking));
    });
  });
}

PyObject* buffer_supported(PyObject*, PyObject* object) {
  const int found = supported(object);
  return found < 0 ? nullptr : PyBool_FromLong(found);
}

}  // namespace

#define WEFT_FAST(name, text) \
  {#name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(name)), METH_FASTCALL, #name text}

PyMethodDef kernel_functions[] = {
    {"buffer_supported", buffer_supported, METH_O,
     "buffer_supported($module, obj, /)\n--\n\nTrue if the kernels take obj: a C-contiguous buffer of a dtype they know."},
    WEFT_FAST(buffer_reduce, "($module, executor, src, op, init, chunk, /)\n--\n\nReduce a buffer to one number."),
    WEFT_FAST(buffer_transform_reduce,
              "($module, executor, a, b, transform_op, reduce_op, init, chunk, /)\n--\n\nReduce a[i] op b[i] to one number."),
    WEFT_FAST(buffer_scan, "($module, executor, src, dst, op, inclusive, init, chunk, /)\n--\n\nPrefix sums and their like."),
    WEFT_FAST(buffer_transform, "($module, executor, a, b, dst, op, chunk, /)\n--\n\ndst[i] = a[i] op b[i], or op b."),
    WEFT_FAST(buffer_count, "($module, executor, src, compare, value, chunk, /)\n--\n\nHow many elements compare so."),
    WEFT_FAST(buffer_find, "($module, executor, src, compare, value, chunk, /)\n--\n\nThe first that compares so, or -1."),
    WEFT_FAST(buffer_sort, "($module, executor, buf, reverse, stable, chunk, /)\n--\n\nSort in place; NaN comes last."),
    WEFT_FAST(buffer_fill, "($module, executor, dst, value, chunk, /)\n--\n\nSet every element."),
    WEFT_FAST(buffer_copy, "($module, executor, src, dst, chunk, /)\n--\n\nCopy every element."),
    WEFT_FAST(buffer_iota, "($module, executor, dst, start, step, chunk, /)\n--\n\nstart, start + step, and so on."),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
