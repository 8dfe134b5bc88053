#include "kernels/matmul.hpp"

#include <memory>
#include <new>
#include <vector>

#include "kernels/reduce.hpp"

namespace weft::kernels {

namespace {

constexpr size_t kDepth = 256;         // terms of a panel: a panel of b stays in the first-level cache
constexpr size_t kRowsOfTask = 192;     // a multiple of every tile's rows; with kDepth, a's part fits the second level
constexpr size_t kMostColumnsOfTask = 512;
constexpr size_t kTermsOfTask = size_t{1} << 29;  // some 20 ms: between two of them a stop is heard
constexpr uint64_t kExactInDouble = uint64_t{1} << 53;
constexpr uint64_t kExactInInteger = uint64_t{1} << 62;

constexpr size_t rounded_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

// Memory on cache lines, for panels.
template <class P>
class Panels {
 public:
  explicit Panels(size_t size)
      : data_(static_cast<P*>(::operator new(std::max<size_t>(size, 1) * sizeof(P), std::align_val_t{64}))) {}
  ~Panels() { ::operator delete(data_, std::align_val_t{64}); }
  Panels(const Panels&) = delete;
  Panels& operator=(const Panels&) = delete;
  P* data() const { return data_; }

 private:
  P* data_;  // SAFETY: owned; freed in the destructor alone
};

// a * b, from elements of S, computed in P.
template <class S, class P>
class Product2d {
 public:
  Product2d(Team& team, const S* a, const S* b, S* c, size_t m, size_t n, size_t k)
      : team_(team), a_(a), b_(b), c_(c), m_(m), n_(n), k_(k), tile_(gemm<P>()),
        task_columns_(columns_of_task(k)), panels_(rounded_up(n, tile_.columns) / tile_.columns),
        packed_b_(panels_ * tile_.columns * k) {}

  Multiplied run() {
    if (!parallel_for(team_, panels_, 1, 1, {ChunkKind::dynamic, 4}, [this](size_t first, size_t last) {
          for (size_t panel = first; panel < last; ++panel) pack_b(panel);
        })) {
      return Multiplied::stopped;
    }
    const size_t down = rounded_up(m_, kRowsOfTask) / kRowsOfTask;
    const size_t across = rounded_up(n_, task_columns_) / task_columns_;
    sync::Atomic<uint32_t> state{kFine};
    const bool whole = parallel_for(team_, down * across, 1, 1, {ChunkKind::dynamic, 1}, [&](size_t task, size_t) {
      const uint32_t ended = make(task / across * kRowsOfTask, task % across * task_columns_);
      if (ended != kFine) state.store(ended, sync::relaxed);
    });
    if (!whole) return Multiplied::stopped;
    if (state.load(sync::relaxed) == kNoMemory) throw std::bad_alloc();
    return state.load(sync::relaxed) == kOverflow ? Multiplied::overflow : Multiplied::done;
  }

 private:
  static constexpr bool kDirect = std::is_same_v<S, P> && std::is_floating_point_v<S>;
  static constexpr uint32_t kFine = 0, kOverflow = 1, kNoMemory = 2;

  size_t columns_of_task(size_t k) const {
    const size_t wanted = std::min(kMostColumnsOfTask, kTermsOfTask / kRowsOfTask / std::max<size_t>(k, 1));
    return std::max(wanted / tile_.columns * tile_.columns, tile_.columns);
  }

  // Columns [panel * width, + width), all k rows of them, with zeros beyond the edge.
  void pack_b(size_t panel) {
    const size_t width = tile_.columns;
    const size_t column = panel * width;
    const size_t have = std::min(width, n_ - column);
    P* to = packed_b_.data() + panel * width * k_;
    for (size_t row = 0; row < k_; ++row, to += width) {
      const S* from = b_ + row * n_ + column;
      for (size_t j = 0; j < have; ++j) to[j] = static_cast<P>(from[j]);
      for (size_t j = have; j < width; ++j) to[j] = P{0};
    }
  }

  // Rows [row, row + rows) and terms [term, term + depth) in panels as high as a tile.
  void pack_a(P* to, size_t row, size_t rows, size_t term, size_t depth) const {
    const size_t height = tile_.rows;
    for (size_t first = 0; first < rows; first += height, to += height * depth) {
      const size_t have = std::min(height, rows - first);
      for (size_t i = 0; i < have; ++i) {
        const S* from = a_ + (row + first + i) * k_ + term;
        for (size_t t = 0; t < depth; ++t) to[t * height + i] = static_cast<P>(from[t]);
      }
      for (size_t i = have; i < height; ++i) {
        for (size_t t = 0; t < depth; ++t) to[t * height + i] = P{0};
      }
    }
  }

  // Where the results of one task go while terms are added: c itself, or memory of P's own.
  struct Place {
    P* data;
    size_t stride;
  };

  uint32_t make(size_t row, size_t column) {
    const size_t rows = std::min(kRowsOfTask, m_ - row);
    const size_t columns = std::min(task_columns_, n_ - column);
    try {
      const Panels<P> packed_a(rounded_up(rows, tile_.rows) * std::min(kDepth, k_));
      if constexpr (kDirect) {
        add_up(packed_a.data(), row, rows, column, columns, {c_ + row * n_ + column, n_});
        return kFine;
      } else {
        const Panels<P> results(rows * columns);
        add_up(packed_a.data(), row, rows, column, columns, {results.data(), columns});
        return store(results.data(), row, rows, column, columns) ? kFine : kOverflow;
      }
    } catch (const std::bad_alloc&) {
      return kNoMemory;  // on a thread that has nobody to throw it to
    }
  }

  void add_up(P* packed_a, size_t row, size_t rows, size_t column, size_t columns, Place place) const {
    const size_t height = tile_.rows, width = tile_.columns;
    for (size_t term = 0; term < k_; term += kDepth) {
      const size_t depth = std::min(kDepth, k_ - term);
      pack_a(packed_a, row, rows, term, depth);
      for (size_t j = 0; j < columns; j += width) {
        const P* b = packed_b_.data() + (column + j) * k_ + term * width;
        for (size_t i = 0; i < rows; i += height) {
          P* to = place.data + i * place.stride + j;
          const P* a = packed_a + i * depth;
          if (i + height <= rows && j + width <= columns) {
            tile_.tile(depth, a, b, to, place.stride, term != 0);
            continue;
          }
          P edge[kMostTileRows * kMostTileColumns];
          tile_.tile(depth, a, b, edge, width, false);
          for (size_t y = 0; y < std::min(height, rows - i); ++y) {
            for (size_t x = 0; x < std::min(width, columns - j); ++x) {
              P& into = to[y * place.stride + x];
              into = term != 0 ? into + edge[y * width + x] : edge[y * width + x];
            }
          }
        }
      }
    }
  }

  bool store(const P* results, size_t row, size_t rows, size_t column, size_t columns) const {
    bool fits = true;
    for (size_t y = 0; y < rows; ++y) {
      S* to = c_ + (row + y) * n_ + column;
      for (size_t x = 0; x < columns; ++x) {
        // Through int64, which holds every value that either kind of P can have here.
        const auto exact = static_cast<int64_t>(results[y * columns + x]);
        to[x] = static_cast<S>(exact);
        if constexpr (!std::is_floating_point_v<S>) fits = fits && to[x] == exact;
      }
    }
    return fits;
  }

  Team& team_;
  const S* const a_;
  const S* const b_;
  S* const c_;
  const size_t m_, n_, k_;
  const Gemm<P>& tile_;
  const size_t task_columns_;
  const size_t panels_;
  const Panels<P> packed_b_;
};

template <class T>
uint64_t largest_magnitude(const T* a, size_t n) {
  const Table<T>& loops = table<T>();
  return std::max(magnitude(loops.least(a, n)), magnitude(loops.greatest(a, n)));
}

// No sum of k products is larger in magnitude than this; saturated.
uint64_t bound(uint64_t a, uint64_t b, size_t k) {
  const Words product = multiply(a, b);
  if (product.high != 0) return ~uint64_t{0};
  const Words sum = multiply(product.low, k);
  return sum.high != 0 ? ~uint64_t{0} : sum.low;
}

template <class T>
bool store_sum(Sum<T> sum, T& to) {
  if constexpr (std::is_floating_point_v<T>) {
    to = static_cast<T>(sum);
    return true;
  } else {
    to = static_cast<T>(sum.value());
    return sum.fits() && to == sum.value();
  }
}

// Each element by a sum of its own: for one column, and for integers that nothing smaller holds.
template <class T>
Multiplied by_dots(Team& team, const T* a, const T* b, T* c, size_t m, size_t n, size_t k) {
  const Table<T>& loops = table<T>();
  const Panels<T> turned(n == 1 ? 0 : n * k);
  if (n != 1 && !parallel_for(team, n, 1, k, {}, [&](size_t first, size_t last) {
        for (size_t j = first; j < last; ++j) {
          for (size_t t = 0; t < k; ++t) turned.data()[j * k + t] = b[t * n + j];
        }
      })) {
    return Multiplied::stopped;
  }
  const T* columns = n == 1 ? b : turned.data();
  sync::Atomic<bool> lost{false};
  const bool whole = parallel_for(team, m * n, 1, k, {}, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const T* row = a + i / n * k;
      const T* column = columns + i % n * k;
      Sum<T> sum{};
      for (size_t t = 0; t < k; t += kMostAtOnce) {
        const Sum<T> part = loops.dot(row + t, column + t, std::min(kMostAtOnce, k - t));
        if constexpr (std::is_floating_point_v<T>) {
          sum += part;
        } else {
          sum.add(part);
        }
      }
      if (!store_sum<T>(sum, c[i])) lost.store(true, sync::relaxed);
    }
  });
  return !whole ? Multiplied::stopped : lost.load(sync::relaxed) ? Multiplied::overflow : Multiplied::done;
}

}  // namespace

template <class T>
Multiplied matmul(Team& team, const T* a, const T* b, T* c, size_t m, size_t n, size_t k) {
  if (m == 0 || n == 0) return Multiplied::done;
  if (k == 0) {
    std::fill_n(c, m * n, T{0});
    return Multiplied::done;
  }
  if (n == 1) return by_dots(team, a, b, c, m, n, k);
  if constexpr (std::is_floating_point_v<T>) {
    return Product2d<T, T>(team, a, b, c, m, n, k).run();
  } else {
    const uint64_t most = bound(largest_magnitude(a, m * k), largest_magnitude(b, k * n), k);
    if (most <= kExactInDouble) return Product2d<T, double>(team, a, b, c, m, n, k).run();
    if (most <= kExactInInteger) return Product2d<T, int64_t>(team, a, b, c, m, n, k).run();
    return by_dots(team, a, b, c, m, n, k);
  }
}

template Multiplied matmul<float>(Team&, const float*, const float*, float*, size_t, size_t, size_t);
template Multiplied matmul<double>(Team&, const double*, const double*, double*, size_t, size_t, size_t);
template Multiplied matmul<int32_t>(Team&, const int32_t*, const int32_t*, int32_t*, size_t, size_t, size_t);
template Multiplied matmul<int64_t>(Team&, const int64_t*, const int64_t*, int64_t*, size_t, size_t, size_t);

}  // namespace weft::kernels
