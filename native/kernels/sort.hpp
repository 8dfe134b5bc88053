// Sorting numbers: by radix, from the lowest digit up, in parallel; stable, so that one function serves for both sorts.
//
// Each pass counts the digits of each part of the array, turns the counts into places, and moves the elements there:
// Knuth, TAOCP vol. 3, 5.2.5; in parallel after Zagha and Blelloch, "Radix Sort for Vector Multiprocessors" (Supercomputing
// 1991). A digit that all elements share takes no pass, so small integers in wide types are cheap. The key of a float
// is its bits, turned so that they order as the numbers do; -0.0 and 0.0 have the same key (a stable sort does not swap
// them), and NaN the largest one, also in reverse: NaN comes last, as numpy has it.
//
// Not a merge sort: it needs as much memory for scratch and moves the elements log2(parts) times more often. Not a sample
// sort: its buckets would have to be sorted by radix again, and what it saves are cache misses that the passes here hardly have.
#pragma once

#include <cstddef>

#include "kernels/loop.hpp"

namespace weft::kernels {

// `scratch` is as long as `a`. False: stopped; `a` then holds its elements in some order.
template <class T>
bool sort(Team&, T* a, T* scratch, size_t n, bool reverse);

}  // namespace weft::kernels
