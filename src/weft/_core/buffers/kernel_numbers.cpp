// Numbers in and out of the kernels. What a type cannot hold is refused, never cut.

#include <cmath>
#include <limits>

#include "buffers/kernels.hpp"

namespace weft::core {

namespace {

constexpr const char* kOps[] = {"add", "mul", "min", "max"};
constexpr const char* kCompares[] = {"lt", "le", "gt", "ge", "eq", "ne"};

// -1: not one of them, with an exception set.
template <size_t kCount>
int index_in(const char* const (&words)[kCount], PyObject* word, const char* name) {
  if (PyUnicode_Check(word)) {
    for (size_t i = 0; i < kCount; ++i) {
      if (PyUnicode_CompareWithASCIIString(word, words[i]) == 0) return static_cast<int>(i);
    }
  }
  PyErr_Format(PyExc_ValueError, "%s must be one of %s, not %R", name,
               kCount == 4 ? "'add', 'mul', 'min', 'max'" : "'lt', 'le', 'gt', 'ge', 'eq', 'ne'", word);
  return -1;
}

// A whole number; false with TypeError if it is none, or OverflowError.
bool parse_whole(PyObject* object, const char* name, const char* dtype, int64_t least, int64_t most, int64_t& value) {
  PyObject* whole = PyNumber_Index(object);
  if (whole == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_TypeError)) {
      PyErr_Clear();
      PyErr_Format(PyExc_TypeError, "%s must be a whole number for a buffer of %s, not %R", name, dtype, object);
    }
    return false;
  }
  int overflow = 0;
  const long long found = PyLong_AsLongLongAndOverflow(whole, &overflow);
  Py_DECREF(whole);
  if (found == -1 && PyErr_Occurred()) return false;
  if (overflow != 0 || found < least || found > most) {
    PyErr_Format(PyExc_OverflowError, "%s is %R, which %s does not hold; convert the buffer to a larger type", name, object, dtype);
    return false;
  }
  value = found;
  return true;
}

// -1: below T, 1: above it, 0: in `value`; -2 with an exception set.
template <class T>
int place_of(PyObject* whole, T& value) {
  int overflow = 0;
  const long long found = PyLong_AsLongLongAndOverflow(whole, &overflow);
  if (found == -1 && PyErr_Occurred()) return -2;
  if (overflow != 0) return overflow;
  if (found < std::numeric_limits<T>::min()) return -1;
  if (found > std::numeric_limits<T>::max()) return 1;
  value = static_cast<T>(found);
  return 0;
}

// The answer for all elements where all are below the value (`above` of them), or above it.
bool answer_for(Compare compare, bool value_above) {
  if (compare == Compare::ne) return true;
  if (compare == Compare::eq) return false;
  return value_above ? compare == Compare::lt || compare == Compare::le : compare == Compare::gt || compare == Compare::ge;
}

template <class T>
bool parse_for_integers(PyObject* given, Predicate<T>& predicate) {
  PyObject* whole = nullptr;
  if (PyIndex_Check(given)) {
    whole = PyNumber_Index(given);
  } else {
    const double value = PyFloat_AsDouble(given);
    if (value == -1.0 && PyErr_Occurred()) return false;
    if (!std::isfinite(value)) {
      predicate.constant = true;
      predicate.answer = std::isnan(value) ? predicate.compare == Compare::ne : answer_for(predicate.compare, value > 0);
      return true;
    }
    const double below = std::floor(value);
    if (below != value) {  // between two whole numbers
      switch (predicate.compare) {
        case Compare::lt:
          predicate.compare = Compare::le;
          break;
        case Compare::ge:
          predicate.compare = Compare::gt;
          break;
        case Compare::eq:
        case Compare::ne:
          predicate.constant = true;
          predicate.answer = predicate.compare == Compare::ne;
          return true;
        default:
          break;
      }
    }
    whole = PyLong_FromDouble(below);
  }
  if (whole == nullptr) return false;
  const int place = place_of<T>(whole, predicate.value);
  Py_DECREF(whole);
  if (place == -2) return false;
  predicate.constant = place != 0;
  predicate.answer = predicate.constant && answer_for(predicate.compare, place > 0);
  return true;
}

template <class T>
bool parse_for_floats(PyObject* given, Predicate<T>& predicate) {
  predicate.value = PyFloat_AsDouble(given);
  if (predicate.value == -1.0 && PyErr_Occurred()) return false;
  if (!PyLong_Check(given)) return true;
  // A whole number that no float is: then no element equals it, and the nearest float stands for it.
  PyObject* nearest = PyLong_FromDouble(predicate.value);
  const int equal = nearest == nullptr ? -1 : PyObject_RichCompareBool(nearest, given, Py_EQ);
  const int above = equal != 0 ? equal : PyObject_RichCompareBool(nearest, given, Py_GT);
  Py_XDECREF(nearest);
  if (equal < 0 || above < 0) return false;
  if (equal == 1) return true;
  switch (predicate.compare) {
    case Compare::lt:
    case Compare::le:
      predicate.compare = above != 0 ? Compare::lt : Compare::le;
      break;
    case Compare::gt:
    case Compare::ge:
      predicate.compare = above != 0 ? Compare::ge : Compare::gt;
      break;
    default:
      predicate.constant = true;
      predicate.answer = predicate.compare == Compare::ne;
  }
  return true;
}

PyObject* from_bytes(const uint64_t* words, size_t count, bool is_signed) {
  unsigned char bytes[24];
  for (size_t i = 0; i < count * 8; ++i) bytes[i] = static_cast<unsigned char>(words[i / 8] >> (i % 8 * 8));
  return is_signed ? PyLong_FromNativeBytes(bytes, count * 8, Py_ASNATIVEBYTES_LITTLE_ENDIAN)
                   : PyLong_FromUnsignedNativeBytes(bytes, count * 8, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
}

}  // namespace

bool parse_op(PyObject* word, Op& op) {
  const int index = index_in(kOps, word, "op");
  op = static_cast<Op>(index);
  return index >= 0;
}

bool parse_chunking(PyObject* given, Chunking& chunking) {
  constexpr const char* kKinds[] = {"auto", "static", "dynamic", "guided"};
  if (PyTuple_Check(given) && PyTuple_GET_SIZE(given) == 2 && PyUnicode_Check(PyTuple_GET_ITEM(given, 0)) &&
      PyLong_Check(PyTuple_GET_ITEM(given, 1))) {
    const Py_ssize_t size = PyLong_AsSsize_t(PyTuple_GET_ITEM(given, 1));
    if (size == -1 && PyErr_Occurred()) return false;
    for (size_t i = 0; size >= 0 && i < 4; ++i) {
      if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(given, 0), kKinds[i]) == 0) {
        chunking = {static_cast<kernels::ChunkKind>(i), static_cast<size_t>(size)};
        return true;
      }
    }
  }
  PyErr_Format(PyExc_ValueError,
               "chunk must be a tuple of 'auto', 'static', 'dynamic' or 'guided' and a number of elements (0: the default), "
               "not %R",
               given);
  return false;
}

bool parse_number(PyObject* object, const char* name, double& value) {
  value = PyFloat_AsDouble(object);
  if (value != -1.0 || !PyErr_Occurred()) return true;
  if (PyErr_ExceptionMatches(PyExc_TypeError)) {
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "%s must be a number, not %R", name, object);
  }
  return false;
}

bool parse_number(PyObject* object, const char* name, float& value) {
  double wide;
  if (!parse_number(object, name, wide)) return false;
  value = static_cast<float>(wide);
  return true;
}

bool parse_number(PyObject* object, const char* name, int32_t& value) {
  int64_t wide;
  if (!parse_whole(object, name, "int32", INT32_MIN, INT32_MAX, wide)) return false;
  value = static_cast<int32_t>(wide);
  return true;
}

bool parse_number(PyObject* object, const char* name, int64_t& value) {
  return parse_whole(object, name, "int64", INT64_MIN, INT64_MAX, value);
}

template <class T>
bool parse_predicate(PyObject* compare, PyObject* value, Predicate<T>& predicate) {
  const int index = index_in(kCompares, compare, "compare");
  if (index < 0) return false;
  predicate = {static_cast<Compare>(index), {}, false, false};
  bool parsed;
  if constexpr (std::is_floating_point_v<T>) {
    parsed = parse_for_floats(value, predicate);
  } else {
    parsed = parse_for_integers(value, predicate);
  }
  if (!parsed && PyErr_ExceptionMatches(PyExc_TypeError)) {
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "value must be a number to compare with, not %R", value);
  }
  return parsed;
}

template bool parse_predicate<float>(PyObject*, PyObject*, Predicate<float>&);
template bool parse_predicate<double>(PyObject*, PyObject*, Predicate<double>&);
template bool parse_predicate<int32_t>(PyObject*, PyObject*, Predicate<int32_t>&);
template bool parse_predicate<int64_t>(PyObject*, PyObject*, Predicate<int64_t>&);

PyObject* to_python(double value) { return PyFloat_FromDouble(value); }
PyObject* to_python(int32_t value) { return PyLong_FromLong(value); }
PyObject* to_python(int64_t value) { return PyLong_FromLongLong(value); }

PyObject* to_python(const kernels::Wide& value) {
  if (value.fits()) return PyLong_FromLongLong(value.value());
  const uint64_t words[] = {value.low, value.middle, value.high};
  return from_bytes(words, 3, true);
}

PyObject* to_python(const kernels::Product& value) {
  if (value.overflow) {
    PyErr_SetString(PyExc_OverflowError,
                    "the product is larger than 128 bits; multiply as floats, or with math.prod, which has no limit");
    return nullptr;
  }
  const uint64_t words[] = {value.magnitude_.low, value.magnitude_.high};
  PyObject* magnitude = from_bytes(words, 2, false);
  if (magnitude == nullptr || !value.negative) return magnitude;
  PyObject* result = PyNumber_Negative(magnitude);
  Py_DECREF(magnitude);
  return result;
}

void raise_overflow(const Buffer& buffer, const char* what) {
  PyErr_Format(PyExc_OverflowError, "%s does not fit %s, the type of %s; convert the buffers to %s", what, name_of(buffer.dtype),
               buffer.name, buffer.dtype == Dtype::int32 ? "int64" : "float64, which rounds");
}

bool check_count(const char* function, Py_ssize_t given, Py_ssize_t wanted) {
  if (given == wanted) return true;
  PyErr_Format(PyExc_TypeError, "%s() takes %zd positional arguments, not %zd", function, wanted, given);
  return false;
}

}  // namespace weft::core
