// Sorting numbers, in parallel and stable, so that one function serves for both sorts.
//
// A large array is cut into buckets by splitters from a sample, and each bucket is sorted by radix in the cache of
// one core: Blelloch et al., "A Comparison of Sorting Algorithms for the Connection Machine CM-2" (SPAA 1991);
// Sanders and Winkel, "Super Scalar Sample Sort" (ESA 2004) for the search without branches. A bucket's radix sort
// goes over the bits that differ in it, and over the upper ones only: what is then nearly sorted is finished by
// insertion (Sedgewick's idea for quicksort), and if that takes too many moves, by all bits after all.
//
// The key of a float is its bits, turned so that they order as the numbers do; -0.0 and 0.0 have the same key (a
// stable sort does not swap them), and NaN has the largest, also in reverse: NaN comes last, as numpy has it.
//
// Tried instead: radix passes over the whole array, from the lowest digit up, as Zagha and Blelloch do. On 10^7
// doubles it took five times as long, and two threads were no faster than one: each pass goes through memory twice.
#pragma once

#include <cstddef>

#include "kernels/loop.hpp"

namespace weft::kernels {

// `scratch` is as long as `a`. False: stopped; `a` then holds its elements in some order.
template <class T>
bool sort(Team&, T* a, T* scratch, size_t n, bool reverse);

}  // namespace weft::kernels
