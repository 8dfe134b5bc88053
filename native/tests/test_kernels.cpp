// The kernels against plain loops: every type, every instruction set that this machine has, any number of threads.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "kernels/elementwise.hpp"
#include "kernels/matmul.hpp"
#include "kernels/reduce.hpp"
#include "kernels/scan.hpp"
#include "kernels/sort.hpp"
#include "team.hpp"

using namespace weft;
using namespace weft::test;
using namespace weft::kernels;

namespace {

const size_t kSizes[] = {1, 2, 31, 32, 33, 255, 256, 257, 1000, 8191, 8192, 8193, 70'000, 200'001};

template <class T>
std::vector<T> numbers(Random& random, size_t n, uint64_t below = 1000) {
  std::vector<T> result(n);
  for (T& x : result) {
    const auto whole = static_cast<int64_t>(random.below(2 * below + 1)) - static_cast<int64_t>(below);
    x = std::is_floating_point_v<T> ? static_cast<T>(whole) / 8 : static_cast<T>(whole);
  }
  return result;
}

template <class Body>
void for_each_isa(Body&& body) {
  for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (has_isa(isa)) body(isa);
  }
}

template <class Body>
void for_each_type(Body&& body) {
  body(float{});
  body(double{});
  body(int32_t{});
  body(int64_t{});
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

}  // namespace

TEST(wide_multiplication_without_128_bit_integers) {
  Random random(seed());
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t a = random.next() >> random.below(64), b = random.next() >> random.below(64);
    const Words plain = multiply(a, b), portable = multiply_portable(a, b);
    CHECK(plain.low == portable.low && plain.high == portable.high);
  }
}

TEST(wide_sums_and_products_are_exact) {
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min(), kMost = std::numeric_limits<int64_t>::max();
  Wide sum;
  for (int i = 0; i < 3; ++i) sum.add(Wide::product(kLeast, kLeast));  // beyond 127 bits
  CHECK(!sum.fits());
  for (int i = 0; i < 3; ++i) sum.add(Wide::product(kLeast, kMost));
  for (int i = 0; i < 3; ++i) sum.add(Wide::of(kLeast));
  CHECK(sum.fits());  // 3 L (L + M + 1) = 0
  CHECK_EQ(sum.value(), 0);
  Wide small = Wide::of(-5);
  small.add(Wide::of(3));
  CHECK(small.fits());
  CHECK_EQ(small.value(), -2);
  Product product;
  product.multiply_by(kLeast);
  CHECK(product.fits());
  CHECK_EQ(product.value(), kLeast);
  product.multiply_by(-1);
  CHECK(!product.fits() && !product.overflow);
  product.multiply_by(kMost);
  product.multiply_by(kMost);
  CHECK(product.overflow);
  product.multiply_by(0);
  CHECK(product.fits());
  CHECK_EQ(product.value(), 0);
}

TEST(every_instruction_set_gives_the_same_bits) {
  Random random(seed());
  for_each_type([&](auto kind) {
    using T = decltype(kind);
    for (size_t n : kSizes) {
      std::vector<T> a = numbers<T>(random, n, 1u << 30), b = numbers<T>(random, n, 1u << 30);
      if constexpr (std::is_floating_point_v<T>) {
        for (T& x : a) x = x / 3;
      }
      const Table<T>& plain = table<T>(Isa::baseline);
      for_each_isa([&](Isa isa) {
        const Table<T>& loops = table<T>(isa);
        if constexpr (std::is_floating_point_v<T>) {
          CHECK(same_bits(loops.sum(a.data(), n), plain.sum(a.data(), n)));
          CHECK(same_bits(loops.dot(a.data(), b.data(), n), plain.dot(a.data(), b.data(), n)));
        } else {
          CHECK_EQ(loops.sum(a.data(), n).value(), plain.sum(a.data(), n).value());
          CHECK_EQ(loops.dot(a.data(), b.data(), n).low, plain.dot(a.data(), b.data(), n).low);
        }
        CHECK(loops.least(a.data(), n) == *std::min_element(a.begin(), a.end()));
        CHECK(loops.greatest(a.data(), n) == *std::max_element(a.begin(), a.end()));
        std::vector<T> one(n), other(n);
        for (size_t op = 0; op < kOps; ++op) {
          CHECK_EQ(loops.transform[op](a.data(), b.data(), one.data(), n),
                   plain.transform[op](a.data(), b.data(), other.data(), n));
          CHECK(one == other);
          CHECK_EQ(loops.transform_by[op](a.data(), b[0], one.data(), n),
                   plain.transform_by[op](a.data(), b[0], other.data(), n));
          CHECK(one == other);
        }
        for (size_t compare = 0; compare < kCompares; ++compare) {
          CHECK_EQ(loops.count[compare](a.data(), a[n / 2], n), plain.count[compare](a.data(), a[n / 2], n));
          CHECK_EQ(loops.find[compare](a.data(), a[n / 2], n), plain.find[compare](a.data(), a[n / 2], n));
        }
      });
    }
  });
}

TEST(sums_of_integers_are_exact) {
  Random random(seed());
  for_each_isa([&](Isa isa) {
    for (size_t n : kSizes) {
      std::vector<int64_t> a(n), b(n);
      for (int64_t& x : a) x = static_cast<int64_t>(random.next());
      for (int64_t& x : b) x = static_cast<int64_t>(random.below(3) == 0 ? uint64_t{1} << 63 : random.next());
      Wide sum, dot;
      for (size_t i = 0; i < n; ++i) sum.add(Wide::of(a[i])), dot.add(Wide::product(a[i], b[i]));
      const Wide found = table<int64_t>(isa).sum(a.data(), n), product = table<int64_t>(isa).dot(a.data(), b.data(), n);
      CHECK(found.low == sum.low && found.middle == sum.middle && found.high == sum.high);
      CHECK(product.low == dot.low && product.middle == dot.middle && product.high == dot.high);
      std::vector<int32_t> least(n, std::numeric_limits<int32_t>::min());
      const Wide squares = table<int32_t>(isa).dot(least.data(), least.data(), n);
      Wide expected;
      for (size_t i = 0; i < n; ++i) expected.add(Wide::of(int64_t{1} << 62));
      CHECK(squares.low == expected.low && squares.middle == expected.middle && squares.high == expected.high);
    }
  });
}

TEST(nan_wins_in_every_place) {
  const auto nan = std::numeric_limits<float>::quiet_NaN();
  for_each_isa([&](Isa isa) {
    for (size_t n : {1, 5, 32, 70, 300}) {
      for (size_t at = 0; at < n; ++at) {
        std::vector<float> a(n, 1.0f);
        a[n / 3] = std::numeric_limits<float>::infinity();
        a[at] = nan;
        CHECK(std::isnan(table<float>(isa).least(a.data(), n)));
        CHECK(std::isnan(table<float>(isa).greatest(a.data(), n)));
      }
    }
  });
}

TEST(reductions_do_not_depend_on_threads_or_chunks) {
  Random random(seed());
  for (size_t n : kSizes) {
    std::vector<double> a = numbers<double>(random, n, 1u << 30);
    for (double& x : a) x = x / 3;
    Alone alone;
    const double sum = *reduce<double, Op::add>(alone, a.data(), n, {});
    const double dotted = *dot<double>(alone, a.data(), a.data(), false, n, {});
    for (uint32_t threads = 1; threads <= 8; ++threads) {
      Threads team(threads);
      for (ChunkKind kind : {ChunkKind::automatic, ChunkKind::fixed, ChunkKind::dynamic, ChunkKind::guided}) {
        const Chunking chunking{kind, random.below(3) * 5000};
        CHECK(same_bits(*reduce<double, Op::add>(team, a.data(), n, chunking), sum));
        CHECK(same_bits(*dot<double>(team, a.data(), a.data(), false, n, chunking), dotted));
      }
    }
  }
}

TEST(scans_are_what_a_loop_gives) {
  Random random(seed());
  for_each_type([&](auto kind) {
    using T = decltype(kind);
    for (size_t n : kSizes) {
      const std::vector<T> a = numbers<T>(random, n, 8);
      for (Op op : {Op::add, Op::min, Op::max}) {
        for (bool inclusive : {true, false}) {
          const Running<T> init = 3;
          std::vector<T> expected(n);
          Running<T> running = init;
          for (size_t i = 0; i < n; ++i) {
            const auto next = op == Op::add   ? running + static_cast<Running<T>>(a[i])
                              : op == Op::min ? std::min(running, static_cast<Running<T>>(a[i]))
                                              : std::max(running, static_cast<Running<T>>(a[i]));
            expected[i] = static_cast<T>(inclusive ? next : running);
            running = next;
          }
          for (uint32_t threads : {1u, 3u}) {
            Threads team(threads);
            std::vector<T> to = a;
            CHECK(scan<T>(team, to.data(), to.data(), n, op, inclusive, &init, {}) == Scanned::done);
            CHECK(to == expected);  // eighths: every sum is exact
          }
        }
      }
    }
  });
}

TEST(a_scan_that_leaves_the_type_says_so) {
  for (uint32_t threads : {1u, 2u}) {
    Threads team(threads);
    std::vector<int32_t> a(50'000, 1), to(a.size());
    const int64_t start = std::numeric_limits<int32_t>::max() - 50'000;
    CHECK(scan<int32_t>(team, a.data(), to.data(), a.size(), Op::add, true, &start, {}) == Scanned::done);
    CHECK_EQ(to.back(), std::numeric_limits<int32_t>::max());
    a[7] = 2;
    CHECK(scan<int32_t>(team, a.data(), to.data(), a.size(), Op::add, true, &start, {}) == Scanned::overflow);
    CHECK(scan<int32_t>(team, a.data(), to.data(), a.size(), Op::add, false, &start, {}) == Scanned::done);
    std::vector<int64_t> twos(20'000, 2), many(twos.size());
    CHECK(scan<int64_t>(team, twos.data(), many.data(), 62, Op::mul, true, nullptr, {}) == Scanned::done);
    CHECK(scan<int64_t>(team, twos.data(), many.data(), twos.size(), Op::mul, true, nullptr, {}) == Scanned::overflow);
  }
}

TEST(sorts_like_a_stable_sort) {
  Random random(seed());
  for_each_type([&](auto kind) {
    using T = decltype(kind);
    for (size_t n : kSizes) {
      for (bool reverse : {false, true}) {
        for (uint64_t below : {uint64_t{3}, uint64_t{1} << 30}) {
          std::vector<T> a = numbers<T>(random, n, below);
          if constexpr (std::is_floating_point_v<T>) {
            for (T& x : a) {
              if (random.below(50) == 0) x = std::numeric_limits<T>::quiet_NaN();
              if (random.below(50) == 0) x = random.below(2) == 0 ? T{0} : -T{0};
              if (random.below(99) == 0) x = -std::numeric_limits<T>::infinity();
            }
          }
          std::vector<T> expected = a;
          std::stable_sort(expected.begin(), expected.end(), [reverse](T x, T y) {
            if (x != x || y != y) return x == x && y != y;
            return reverse ? x > y : x < y;
          });
          for (uint32_t threads : {1u, 3u}) {
            Threads team(threads);
            std::vector<T> sorted = a, scratch(n);
            CHECK(sort(team, sorted.data(), scratch.data(), n, reverse));
            CHECK(std::memcmp(sorted.data(), expected.data(), n * sizeof(T)) == 0);
          }
        }
      }
    }
  });
}

TEST(a_sort_that_is_stopped_keeps_every_element) {
  // Stops at its first, second, third ... step.
  class Stopper final : public Team {
   public:
    explicit Stopper(size_t steps) : steps_(steps) {}
    size_t size() const override { return 2; }
    bool run(Loop& loop) override {
      Loop::Share share;
      for (;;) {
        if (steps_ == 0) loop.stop();
        if (!loop.step(share)) return !loop.stopped();
        --steps_;
      }
    }

   private:
    size_t steps_;
  };
  Random random(seed());
  const std::vector<double> a = numbers<double>(random, 200'000, 1u << 30);
  std::vector<double> expected = a;
  std::sort(expected.begin(), expected.end());
  bool whole = false;
  for (size_t steps = 0; !whole; ++steps) {
    CHECK(steps < 1000);
    std::vector<double> sorted = a, scratch(a.size());
    Stopper team(steps);
    whole = sort(team, sorted.data(), scratch.data(), a.size(), false);
    if (whole) CHECK(sorted == expected);
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == expected);
  }
}

TEST(finds_the_first_whoever_is_faster) {
  for (size_t round = 0; round < rounds(40); ++round) {
    Random random(seed() + round);
    const size_t n = 1 + random.below(500'000);
    std::vector<int32_t> a(n, 0);
    size_t first = n;
    for (size_t marks = random.below(4); marks > 0; --marks) {
      const size_t at = random.below(n);
      a[at] = 1;
      first = std::min(first, at);
    }
    Threads team(static_cast<uint32_t>(1 + random.below(6)));
    size_t found = 0;
    CHECK(find<int32_t>(team, a.data(), n, Compare::eq, 1, {ChunkKind::dynamic, 1 + random.below(100'000)}, found));
    CHECK_EQ(found, first);
    CHECK(count<int32_t>(team, a.data(), n, Compare::ne, 1, {}, found));
    CHECK_EQ(found, static_cast<size_t>(std::count(a.begin(), a.end(), 0)));
  }
}

TEST(products_of_matrices) {
  Random random(seed());
  for_each_type([&](auto kind) {
    using T = decltype(kind);
    for (auto [m, n, k] : {std::array<size_t, 3>{1, 1, 1}, {3, 5, 7}, {12, 16, 256}, {13, 17, 257},
                           {97, 33, 300}, {200, 530, 20}, {50, 1, 40}, {1, 50, 40}}) {
      const std::vector<T> a = numbers<T>(random, m * k, 50), b = numbers<T>(random, k * n, 50);
      std::vector<T> expected(m * n);
      for (size_t i = 0; i < m; ++i) {
        for (size_t t = 0; t < k; ++t) {
          for (size_t j = 0; j < n; ++j) expected[i * n + j] += a[i * k + t] * b[t * n + j];  // eighths: exact
        }
      }
      for (uint32_t threads : {1u, 4u}) {
        Threads team(threads);
        std::vector<T> c(m * n, T{77});
        CHECK(matmul(team, a.data(), b.data(), c.data(), m, n, k) == Multiplied::done);
        CHECK(c == expected);
      }
    }
  });
}

TEST(every_tile_is_the_same_product) {
  Random random(seed());
  constexpr size_t kTerms = 37;
  for_each_isa([&](Isa isa) {
    const Gemm<double>& tile = gemm<double>(isa);
    const std::vector<double> a = numbers<double>(random, tile.rows * kTerms);
    const std::vector<double> b = numbers<double>(random, tile.columns * kTerms);
    std::vector<double> c(tile.rows * tile.columns, 5.0);
    tile.tile(kTerms, a.data(), b.data(), c.data(), tile.columns, true);
    tile.tile(kTerms, a.data(), b.data(), c.data(), tile.columns, true);
    for (size_t i = 0; i < tile.rows; ++i) {
      for (size_t j = 0; j < tile.columns; ++j) {
        double expected = 0;
        for (size_t t = 0; t < kTerms; ++t) expected += a[t * tile.rows + i] * b[t * tile.columns + j];
        CHECK(c[i * tile.columns + j] == 5.0 + 2 * expected);
      }
    }
  });
}

TEST(integer_matrices_are_exact_or_say_so) {
  Threads team(2);
  constexpr int64_t kLarge = int64_t{1} << 40;
  std::vector<int64_t> c(4);
  // Beyond 2^53 in sum, beyond 2^63 by bound though not in fact, and beyond it in fact.
  const std::vector<int64_t> odd = {kLarge + 1, 1, 3, 5}, tens = {1 << 15, 0, 1, 1};
  CHECK(matmul(team, odd.data(), tens.data(), c.data(), 2, 2, 2) == Multiplied::done);
  CHECK_EQ(c[0], (kLarge + 1) * (1 << 15) + 1);
  const std::vector<int64_t> high = {kLarge, kLarge, kLarge, 1}, cancel = {kLarge, 1, -kLarge, 1};
  CHECK(matmul(team, high.data(), cancel.data(), c.data(), 2, 2, 2) == Multiplied::overflow);
  const std::vector<int64_t> one_row = {kLarge, kLarge};
  CHECK(matmul(team, one_row.data(), cancel.data(), c.data(), 1, 2, 2) == Multiplied::done);
  CHECK_EQ(c[0], 0);
  CHECK_EQ(c[1], 2 * kLarge);
  std::vector<int32_t> ones(64, 1 << 16), product(64);
  CHECK(matmul(team, ones.data(), ones.data(), product.data(), 8, 8, 8) == Multiplied::overflow);
}

TEST(counting_up) {
  Threads team(3);
  std::vector<int32_t> whole(100'000);
  CHECK(iota<int32_t>(team, whole.data(), whole.size(), 5, -3, {}));
  for (size_t i = 0; i < whole.size(); ++i) CHECK_EQ(whole[i], 5 - 3 * static_cast<int32_t>(i));
  std::vector<double> parts(100'000);
  CHECK(iota<double>(team, parts.data(), parts.size(), 1.0, 0.1, {}));
  for (size_t i = 0; i < parts.size(); ++i) CHECK(parts[i] == 1.0 + static_cast<double>(i) * 0.1);
}
