#include "kernels/scan.hpp"

#include <limits>

namespace weft::kernels {

namespace {

template <class T, Op kOp>
constexpr Running<T> neutral() {
  if constexpr (kOp == Op::add) return 0;
  if constexpr (kOp == Op::mul) return 1;
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_floating_point_v<T>) {
    return kOp == Op::min ? Limits::infinity() : -Limits::infinity();
  } else {
    return kOp == Op::min ? Limits::max() : Limits::min();
  }
}

template <Op kOp>
double step(double a, double b, bool&) {
  if constexpr (kOp == Op::add) return a + b;
  if constexpr (kOp == Op::mul) return a * b;
  if (a != a || b != b) return a + b;  // NaN
  return kOp == Op::min ? (b < a ? b : a) : (b > a ? b : a);
}

template <Op kOp>
int64_t step(int64_t a, int64_t b, bool& lost) {
  if constexpr (kOp == Op::add) {
    const auto result = static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    lost |= ((a ^ result) & (b ^ result)) < 0;
    return result;
  }
  if constexpr (kOp == Op::mul) {
#if WEFT_GNU
    int64_t result;
    lost |= __builtin_mul_overflow(a, b, &result);
    return result;
#else
    const Wide exact = Wide::product(a, b);
    lost |= !exact.fits();
    return exact.value();
#endif
  }
  return kOp == Op::min ? (b < a ? b : a) : (b > a ? b : a);
}

template <class T>
T stored(Running<T> value, bool& lost) {
  const T result = static_cast<T>(value);
  if constexpr (!std::is_floating_point_v<T>) lost |= result != value;
  return result;
}

// One block, from `running`. True: an element did not fit.
template <class T, Op kOp>
bool scan_block(const T* from, T* to, size_t n, bool inclusive, Running<T> running) {
  bool lost = false;
  if (inclusive) {
    for (size_t i = 0; i < n; ++i) {
      running = step<kOp>(running, static_cast<Running<T>>(from[i]), lost);
      to[i] = stored<T>(running, lost);
    }
    return lost;
  }
  bool lost_after = false;  // the sum behind the last element is in no element
  for (size_t i = 0; i < n; ++i) {
    lost |= lost_after;
    const auto x = static_cast<Running<T>>(from[i]);
    to[i] = stored<T>(running, lost);
    running = step<kOp>(running, x, lost_after);
  }
  return lost;
}

// Where each block begins: exact for integers, and flagged where that is no int64.
template <class T, Op kOp>
class Offsets {
 public:
  using Partial = typename Reduced<T, kOp>::type;

  explicit Offsets(const Running<T>* init) {
    if constexpr (std::is_same_v<Partial, Wide>) {
      total_ = Wide::of(init == nullptr ? 0 : *init);
    } else if constexpr (std::is_same_v<Partial, Product>) {
      if (init != nullptr) total_.multiply_by(*init);
    } else {
      total_ = init == nullptr ? neutral<T, kOp>() : *init;
    }
  }
  bool fits() const {
    if constexpr (std::is_same_v<Partial, Wide> || std::is_same_v<Partial, Product>) return total_.fits();
    return true;
  }
  Running<T> value() const {
    if constexpr (std::is_same_v<Partial, Wide> || std::is_same_v<Partial, Product>) {
      return total_.value();
    } else {
      return total_;
    }
  }
  void advance(const Partial& block) {
    if constexpr (std::is_same_v<Partial, Wide>) {
      total_.add(block);
    } else if constexpr (std::is_same_v<Partial, Product>) {
      total_.multiply_by(block);
    } else {
      bool never = false;
      total_ = step<kOp>(total_, static_cast<Running<T>>(block), never);
    }
  }

 private:
  std::conditional_t<std::is_same_v<Partial, Wide> || std::is_same_v<Partial, Product>, Partial, Running<T>> total_{};
};

template <class T, Op kOp>
Scanned scan_by(Team& team, const T* from, T* to, size_t n, bool inclusive, const Running<T>* init, Chunking chunking) {
  const size_t blocks = blocks_of(n);
  const auto size_of = [n](size_t block) { return std::min(kBlock, n - block * kBlock); };
  Offsets<T, kOp> offset(init);
  bool lost = false;
  if (team.size() == 1 || blocks == 1) {  // both passes while the block is in the cache
    const bool whole = parallel_for(team, blocks, kBlocksInStep, kBlock, chunking, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end && !lost; ++i) {
        const size_t at = i * kBlock;
        const auto partial = reduce_block<T, kOp>(from + at, size_of(i));
        lost = !offset.fits() || scan_block<T, kOp>(from + at, to + at, size_of(i), inclusive, offset.value());
        offset.advance(partial);
      }
    });
    return !whole ? Scanned::stopped : lost ? Scanned::overflow : Scanned::done;
  }
  std::vector<typename Reduced<T, kOp>::type> partials(blocks);
  if (!parallel_for(team, blocks, kBlocksInStep, kBlock, chunking, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) partials[i] = reduce_block<T, kOp>(from + i * kBlock, size_of(i));
      })) {
    return Scanned::stopped;
  }
  std::vector<Running<T>> starts(blocks);
  for (size_t i = 0; i < blocks; ++i) {
    if (!offset.fits()) return Scanned::overflow;
    starts[i] = offset.value();
    offset.advance(partials[i]);
  }
  sync::Atomic<bool> lost_anywhere{false};
  if (!parallel_for(team, blocks, kBlocksInStep, kBlock, chunking, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          const size_t at = i * kBlock;
          if (scan_block<T, kOp>(from + at, to + at, size_of(i), inclusive, starts[i])) lost_anywhere.store(true, sync::relaxed);
        }
      })) {
    return Scanned::stopped;
  }
  return lost_anywhere.load(sync::relaxed) ? Scanned::overflow : Scanned::done;
}

}  // namespace

template <class T>
Scanned scan(Team& team, const T* from, T* to, size_t n, Op op, bool inclusive, const Running<T>* init, Chunking chunking) {
  switch (op) {
    case Op::add:
      return scan_by<T, Op::add>(team, from, to, n, inclusive, init, chunking);
    case Op::mul:
      return scan_by<T, Op::mul>(team, from, to, n, inclusive, init, chunking);
    case Op::min:
      return scan_by<T, Op::min>(team, from, to, n, inclusive, init, chunking);
    case Op::max:
      return scan_by<T, Op::max>(team, from, to, n, inclusive, init, chunking);
  }
  return Scanned::done;
}

template Scanned scan<float>(Team&, const float*, float*, size_t, Op, bool, const double*, Chunking);
template Scanned scan<double>(Team&, const double*, double*, size_t, Op, bool, const double*, Chunking);
template Scanned scan<int32_t>(Team&, const int32_t*, int32_t*, size_t, Op, bool, const int64_t*, Chunking);
template Scanned scan<int64_t>(Team&, const int64_t*, int64_t*, size_t, Op, bool, const int64_t*, Chunking);

}  // namespace weft::kernels
