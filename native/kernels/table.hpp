// The inner loops, compiled for several instruction sets, as tables of functions: one table for each type and set.
//
// All take plain spans and run on one thread. Floats are added and multiplied in lanes of a fixed number, whatever the
// width of the machine's registers, so that every instruction set gives the same bits (matmul aside, where the fused
// multiply-add of newer machines rounds once instead of twice).
#pragma once

#include <math.h>  // HUGE_VAL; macros only are used of it, see isa.hpp

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/isa.hpp"
#include "kernels/wide.hpp"

namespace weft::kernels {

enum class Op : uint8_t { add, mul, min, max };
enum class Compare : uint8_t { lt, le, gt, ge, eq, ne };
inline constexpr size_t kOps = 4;
inline constexpr size_t kCompares = 6;

// What elements are compared with: a float32 as the double that it is.
template <class T>
using Value = std::conditional_t<std::is_floating_point_v<T>, double, T>;

// What elements are added up in: float32 in double; integers exactly.
template <class T>
using Sum = std::conditional_t<std::is_floating_point_v<T>, double, Wide>;

// The most elements that `sum` and `dot` take at once: beyond that the halves of their integer sums could overflow.
inline constexpr size_t kMostAtOnce = size_t{1} << 30;

template <class T>
struct Table {
  Sum<T> (*sum)(const T*, size_t);
  Sum<T> (*dot)(const T*, const T*, size_t);
  T (*least)(const T*, size_t);     // NaN if there is one; +inf or the largest integer if empty
  T (*greatest)(const T*, size_t);  // NaN if there is one; -inf or the smallest integer if empty
  // True: an integer did not fit. `to` may be `a` or `b`.
  bool (*transform[kOps])(const T* a, const T* b, T* to, size_t);
  bool (*transform_by[kOps])(const T* a, T b, T* to, size_t);
  size_t (*count[kCompares])(const T*, Value<T>, size_t);
  size_t (*find[kCompares])(const T*, Value<T>, size_t);  // the lowest index, or the size
};

// The tile of a matrix product: c (rows by columns, `stride` apart) gets or is increased by a * b, where `a` is packed
// in columns of `rows` and `b` in rows of `columns`, `depth` of them.
template <class P>
struct Gemm {
  size_t rows;
  size_t columns;
  void (*tile)(size_t depth, const P* a, const P* b, P* c, size_t stride, bool add);
};

inline constexpr size_t kMostTileRows = 16;
inline constexpr size_t kMostTileColumns = 64;

// float, double, int32_t, int64_t; the set must be there (has_isa).
template <class T>
const Table<T>& table(Isa);
template <class T>
const Table<T>& table();  // of the best one

// float, double, int64_t
template <class P>
const Gemm<P>& gemm(Isa);
template <class P>
const Gemm<P>& gemm();

}  // namespace weft::kernels
