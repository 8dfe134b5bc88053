// The kernels of weft.kernels: sum, min, max, dot, matmul.

#include "buffers/kernels.hpp"

#include "kernels/matmul.hpp"

namespace weft::core {

namespace {

using Args = PyObject* const*;

// kernel_reduce(executor, a, op): of no elements the sum is 0, and there is no smallest or largest.
PyObject* kernel_reduce(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  Op op;
  if (!check_count("kernel_reduce", count, 3) || !parse_op(args[2], op) ||
      !open_team(module, args[0], core)) {
    return nullptr;
  }
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer& a = buffers[0];
    if (!acquire(a, args[1], "a", false)) return nullptr;
    if (a.size == 0 && op != Op::add) {
      PyErr_Format(PyExc_ValueError, "a is empty: it has no %s; look at its length first",
                   op == Op::min ? "smallest element" : "largest element");
      return nullptr;
    }
    PoolTeam team(module, args[0], core);
    return with_type(a.dtype, [&](auto kind) -> PyObject* {
      using T = decltype(kind);
      if (a.size == 0) return to_python(kernels::Sum<T>{});
      return with_op(op, [&]<Op kOp>() { return reduced_to_python(kernels::reduce<T, kOp>(team, a.data<T>(), a.size, {})); });
    });
  });
}

bool check_dimensions(const Buffer& buffer, int wanted, const char* remedy) {
  if (buffer.view.ndim == wanted) return true;
  PyErr_Format(PyExc_ValueError, "%s has %d dimensions, not %d; %s", buffer.name, buffer.view.ndim, wanted, remedy);
  return false;
}

// kernel_dot(executor, a, b)
PyObject* kernel_dot(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  if (!check_count("kernel_dot", count, 3) || !open_team(module, args[0], core)) return nullptr;
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer &a = buffers[0], &b = buffers[1];
    if (!acquire(a, args[1], "a", false) || !acquire(b, args[2], "b", false) ||
        !check_dimensions(a, 1, "use matmul for matrices") || !check_dimensions(b, 1, "use matmul for matrices") ||
        !check_same_dtype(a, b) || !check_same_size(a, b)) {
      return nullptr;
    }
    PoolTeam team(module, args[0], core);
    return with_type(a.dtype, [&](auto kind) -> PyObject* {
      using T = decltype(kind);
      if (a.size == 0) return to_python(kernels::Sum<T>{});
      return reduced_to_python(kernels::dot<T>(team, a.data<T>(), b.data<T>(), false, a.size, {}));
    });
  });
}

struct Shape {
  size_t m, n, k;
};

// a and b, checked.
bool acquire_matrices(Buffer& a, Buffer& b, PyObject* a_object, PyObject* b_object, Shape& shape) {
  constexpr const char* kRemedy = "matmul takes matrices; use dot for vectors, or reshape";
  if (!acquire(a, a_object, "a", false) || !acquire(b, b_object, "b", false) || !check_dimensions(a, 2, kRemedy) ||
      !check_dimensions(b, 2, kRemedy) || !check_same_dtype(a, b)) {
    return false;
  }
  const Py_ssize_t *left = a.view.shape, *right = b.view.shape;
  if (left[1] != right[0]) {
    PyErr_Format(PyExc_ValueError, "a has shape (%zd, %zd) and b has (%zd, %zd): the columns of a must be as many as the rows of b",
                 left[0], left[1], right[0], right[1]);
    return false;
  }
  shape = {static_cast<size_t>(left[0]), static_cast<size_t>(right[1]), static_cast<size_t>(left[1])};
  return true;
}

// kernel_matmul_shape(a, b): (rows, columns, terms, format) of their product.
PyObject* kernel_matmul_shape(PyObject*, Args args, Py_ssize_t count) {
  if (!check_count("kernel_matmul_shape", count, 2)) return nullptr;
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Shape shape;
    if (!acquire_matrices(buffers[0], buffers[1], args[0], args[1], shape)) return nullptr;
    constexpr const char* kFormats[] = {"f", "d", "i", "q"};
    return Py_BuildValue("(nnns)", static_cast<Py_ssize_t>(shape.m), static_cast<Py_ssize_t>(shape.n),
                         static_cast<Py_ssize_t>(shape.k), kFormats[static_cast<size_t>(buffers[0].dtype)]);
  });
}

bool acquire_result(Buffer& out, PyObject* object, const Buffer& a, const Buffer& b, const Shape& shape) {
  if (!acquire(out, object, "out", true) || !check_same_dtype(a, out) ||
      !check_dimensions(out, 2, "pass a matrix of the result's shape")) {
    return false;
  }
  const Py_ssize_t* have = out.view.shape;
  if (static_cast<size_t>(have[0]) != shape.m || static_cast<size_t>(have[1]) != shape.n) {
    PyErr_Format(PyExc_ValueError, "out has shape (%zd, %zd), and the result has (%zu, %zu)", have[0], have[1], shape.m, shape.n);
    return false;
  }
  return check_overlap(out, a, false) && check_overlap(out, b, false);
}

// kernel_matmul_check(a, b, out): raises what kernel_matmul would.
PyObject* kernel_matmul_check(PyObject*, Args args, Py_ssize_t count) {
  if (!check_count("kernel_matmul_check", count, 3)) return nullptr;
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Shape shape;
    if (!acquire_matrices(buffers[0], buffers[1], args[0], args[1], shape) ||
        !acquire_result(buffers[2], args[2], buffers[0], buffers[1], shape)) {
      return nullptr;
    }
    Py_RETURN_NONE;
  });
}

// kernel_matmul(executor, a, b, out)
PyObject* kernel_matmul(PyObject* module, Args args, Py_ssize_t count) {
  PoolCore* core;
  if (!check_count("kernel_matmul", count, 4) || !open_team(module, args[0], core)) return nullptr;
  return with_buffers([&](Buffer* buffers) -> PyObject* {
    Buffer &a = buffers[0], &b = buffers[1], &out = buffers[2];
    Shape shape;
    if (!acquire_matrices(a, b, args[1], args[2], shape) || !acquire_result(out, args[3], a, b, shape)) return nullptr;
    PoolTeam team(module, args[0], core);
    return with_type(a.dtype, [&](auto kind) -> PyObject* {
      using T = decltype(kind);
      switch (kernels::matmul<T>(team, a.data<T>(), b.data<T>(), out.data<T>(), shape.m, shape.n, shape.k)) {
        case kernels::Multiplied::overflow:
          raise_overflow(a, "an element of the product");
          return nullptr;
        case kernels::Multiplied::stopped:
          return nullptr;
        default:
          Py_RETURN_NONE;
      }
    });
  });
}

PyObject* kernel_isa(PyObject*, PyObject*) { return PyUnicode_FromString(kernels::isa_name(kernels::best_isa())); }

}  // namespace

#define WEFT_FAST(name, text) \
  {#name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(name)), METH_FASTCALL, #name text}

PyMethodDef linear_functions[] = {
    WEFT_FAST(kernel_reduce, "($module, executor, a, op, /)\n--\n\nThe sum, smallest or largest of a buffer."),
    WEFT_FAST(kernel_dot, "($module, executor, a, b, /)\n--\n\nThe sum of a[i] * b[i]."),
    WEFT_FAST(kernel_matmul_shape, "($module, a, b, /)\n--\n\n(rows, columns, terms, format) of a matrix product."),
    WEFT_FAST(kernel_matmul_check, "($module, a, b, out, /)\n--\n\nRaises where out cannot hold the product."),
    WEFT_FAST(kernel_matmul, "($module, executor, a, b, out, /)\n--\n\nA matrix product, into out."),
    {"kernel_isa", kernel_isa, METH_NOARGS, "kernel_isa($module, /)\n--\n\nThe instruction set that the kernels use here."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
