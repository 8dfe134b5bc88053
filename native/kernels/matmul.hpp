// Matrix products: c = a * b, row by row in memory (a: m x k, b: k x n).
//
// b is packed once, in panels as wide as a tile; then tiles of rows and columns are made, each by one thread, with its
// part of a packed for the second-level cache: Goto and van de Geijn (see gemm.inc). The terms of an element are
// added in an order that depends on k alone, so it is the same bits whatever the number of threads.
//
// Integers are exact: where the largest possible sum is a whole number that a double holds (below 2^53), the tiles
// are made in double; where it fits an int64, in int64; else each element is a sum of 192 bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/loop.hpp"

namespace weft::kernels {

enum class Multiplied : uint8_t { done, overflow, stopped };

// c must not overlap a or b. On overflow (an element does not fit T) it holds rubbish. std::bad_alloc if there is no
// memory for packing.
template <class T>
Multiplied matmul(Team&, const T* a, const T* b, T* c, size_t m, size_t n, size_t k);

}  // namespace weft::kernels
