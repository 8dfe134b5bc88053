// Scans: prefix sums and their like, in two passes over fixed blocks.
//
// The first pass reduces each block, then the blocks' results are scanned on one thread, and the second pass scans each
// block from what came before it: Blelloch, "Prefix Sums and Their Applications" (CMU-CS-90-190, 1990). One thread does
// the same, block by block, so that floats come out the same whatever the number of threads.
#pragma once

#include "kernels/reduce.hpp"

namespace weft::kernels {

// What a scan counts in: float32 in double, integers in int64.
template <class T>
using Running = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;

enum class Scanned : uint8_t { done, overflow, stopped };

// `to` may be `from`. `init` comes before the first element; null: none (the first exclusive element is then the
// operation's neutral one: 0, 1, or for min and max the largest and smallest value there is). On overflow `to` holds
// rubbish.
template <class T>
Scanned scan(Team&, const T* from, T* to, size_t n, Op, bool inclusive, const Running<T>* init, Chunking);

}  // namespace weft::kernels
