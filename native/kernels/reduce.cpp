#include "kernels/reduce.hpp"

namespace weft::kernels {

namespace {

template <class Combine>
double by_pairs(double* partials, size_t count, Combine combine) {
  while (count > 1) {
    for (size_t i = 0; i < count / 2; ++i) partials[i] = combine(partials[2 * i], partials[2 * i + 1]);
    if (count % 2 != 0) partials[count / 2] = partials[count - 1];
    count = (count + 1) / 2;
  }
  return partials[0];
}

// Products are rare: four chains are enough to keep the multiplier busy.
template <class T>
double multiply_floats(const T* a, size_t n) {
  double chains[4] = {1.0, 1.0, 1.0, 1.0};
  for (size_t i = 0; i < n; ++i) chains[i % 4] *= static_cast<double>(a[i]);
  return (chains[0] * chains[1]) * (chains[2] * chains[3]);
}

template <class T>
Product multiply_integers(const T* a, size_t n) {
  Product result;
  for (size_t i = 0; i < n && !result.zero(); ++i) result.multiply_by(a[i]);
  return result;
}

// One number as often as a block is long.
template <class T>
std::vector<T> repeated(const T* b, bool stretched, size_t n) {
  return std::vector<T>(stretched ? std::min(n, kBlock) : 0, stretched && n > 0 ? *b : T{});
}

}  // namespace

double combine_sums(double* partials, size_t count) {
  return by_pairs(partials, count, [](double a, double b) { return a + b; });
}

double combine_products(double* partials, size_t count) {
  return by_pairs(partials, count, [](double a, double b) { return a * b; });
}

template <class T, Op kOp>
typename Reduced<T, kOp>::type reduce_block(const T* a, size_t n) {
  if constexpr (kOp == Op::add) {
    return table<T>().sum(a, n);
  } else if constexpr (kOp == Op::mul && std::is_floating_point_v<T>) {
    return multiply_floats(a, n);
  } else if constexpr (kOp == Op::mul) {
    return multiply_integers(a, n);
  } else {
    return kOp == Op::min ? table<T>().least(a, n) : table<T>().greatest(a, n);
  }
}

template <class T>
std::optional<Sum<T>> dot(Team& team, const T* a, const T* b, bool stretched, size_t n, Chunking chunking) {
  const Table<T>& loops = table<T>();
  const std::vector<T> one = repeated(b, stretched, n);
  return reduce_blocks<T, Op::add>(team, n, chunking, [&](size_t at, size_t size) {
    return loops.dot(a + at, stretched ? one.data() : b + at, size);
  });
}

template <class T, Op kReduce>
std::optional<typename Reduced<T, kReduce>::type> transform_reduce(Team& team, const T* a, const T* b, bool stretched, Op op,
                                                                   size_t n, Chunking chunking, bool& overflow) {
  const Table<T>& loops = table<T>();
  const auto which = static_cast<size_t>(op);
  sync::Atomic<bool> lost{false};
  auto result = reduce_blocks<T, kReduce>(team, n, chunking, [&](size_t at, size_t size) {
    T results[kBlock];
    const bool too_large = stretched ? loops.transform_by[which](a + at, *b, results, size)
                                     : loops.transform[which](a + at, b + at, results, size);
    if (too_large) lost.store(true, sync::relaxed);
    return reduce_block<T, kReduce>(results, size);
  });
  overflow = lost.load(sync::relaxed);
  return result;
}

#define WEFT_REDUCE(T, op)                                                                                              \
  template Reduced<T, op>::type reduce_block<T, op>(const T*, size_t);                                                  \
  template std::optional<Reduced<T, op>::type> transform_reduce<T, op>(Team&, const T*, const T*, bool, Op, size_t,     \
                                                                       Chunking, bool&);
#define WEFT_REDUCE_ALL(T)     \
  WEFT_REDUCE(T, Op::add)      \
  WEFT_REDUCE(T, Op::mul)      \
  WEFT_REDUCE(T, Op::min)      \
  WEFT_REDUCE(T, Op::max)      \
  template std::optional<Sum<T>> dot<T>(Team&, const T*, const T*, bool, size_t, Chunking);
WEFT_REDUCE_ALL(float)
WEFT_REDUCE_ALL(double)
WEFT_REDUCE_ALL(int32_t)
WEFT_REDUCE_ALL(int64_t)

}  // namespace weft::kernels
