// Reductions: blocks of a size that depends on nothing but the element type's table, combined in order of their index.
//
// So the result of a float reduction is the same bits for a given input, whatever the threads and chunks. Each block
// is added up in lanes (simd.inc) and the blocks by pairs, so that rounding errors grow with the logarithm of the
// length: Higham, "The Accuracy of Floating Point Summation" (SIAM J. Sci. Comput. 14:4, 1993). Integer sums and
// products are exact.
#pragma once

#include <cstddef>
#include <optional>
#include <type_traits>
#include <vector>

#include "kernels/loop.hpp"
#include "kernels/table.hpp"

namespace weft::kernels {

inline constexpr size_t kBlock = 8192;      // elements: 64 KiB of double
inline constexpr size_t kBlocksInStep = 8;  // between two looks at stop()

inline size_t blocks_of(size_t n) { return n / kBlock + (n % kBlock != 0); }

// What a reduction by an operation results in.
template <class T, Op kOp>
struct Reduced {
  using type = std::conditional_t<kOp == Op::add, Sum<T>,
                                  std::conditional_t<kOp == Op::mul,
                                                     std::conditional_t<std::is_floating_point_v<T>, double, Product>, T>>;
};

// One block, on one thread. `n` is not 0.
template <class T, Op kOp>
typename Reduced<T, kOp>::type reduce_block(const T* a, size_t n);

// Of partial results the whole, pair by pair; destroys them. Not for none.
double combine_sums(double* partials, size_t count);
double combine_products(double* partials, size_t count);

template <class T, Op kOp>
typename Reduced<T, kOp>::type combine(std::vector<typename Reduced<T, kOp>::type>& partials) {
  using R = typename Reduced<T, kOp>::type;
  if constexpr (std::is_same_v<R, double> && kOp == Op::add) {
    return combine_sums(partials.data(), partials.size());
  } else if constexpr (std::is_same_v<R, double> && kOp == Op::mul) {
    return combine_products(partials.data(), partials.size());
  } else {
    R result = partials[0];
    for (size_t i = 1; i < partials.size(); ++i) {
      if constexpr (kOp == Op::add) {
        result.add(partials[i]);
      } else if constexpr (kOp == Op::mul) {
        result.multiply_by(partials[i]);
      } else {
        if (result != result) break;  // NaN
        const T x = partials[i];
        if (x != x || (kOp == Op::min ? x < result : x > result)) result = x;
      }
    }
    return result;
  }
}

// Nothing if the loop was stopped. `block(first element, elements)` gives the result of one block. n > 0.
template <class T, Op kOp, class Block>
std::optional<typename Reduced<T, kOp>::type> reduce_blocks(Team& team, size_t n, Chunking chunking, Block&& block) {
  std::vector<typename Reduced<T, kOp>::type> partials(blocks_of(n));
  const bool whole = parallel_for(team, partials.size(), kBlocksInStep, kBlock, chunking, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) partials[i] = block(i * kBlock, std::min(kBlock, n - i * kBlock));
  });
  if (!whole) return std::nullopt;
  return combine<T, kOp>(partials);
}

template <class T, Op kOp>
std::optional<typename Reduced<T, kOp>::type> reduce(Team& team, const T* a, size_t n, Chunking chunking) {
  return reduce_blocks<T, kOp>(team, n, chunking, [a](size_t at, size_t size) { return reduce_block<T, kOp>(a + at, size); });
}

// Sum of a[i] * b[i]. With `stretched`, b is one number, and so every b[i].
template <class T>
std::optional<Sum<T>> dot(Team&, const T* a, const T* b, bool stretched, size_t n, Chunking);

// op2 over (a[i] op1 b[i]). Other than in `dot`, an integer a[i] op1 b[i] must fit T: `overflow` says if one did not.
template <class T, Op kReduce>
std::optional<typename Reduced<T, kReduce>::type> transform_reduce(Team&, const T* a, const T* b, bool stretched, Op, size_t n,
                                                                   Chunking, bool& overflow);

}  // namespace weft::kernels
