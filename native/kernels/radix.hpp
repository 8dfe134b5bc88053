// A stable radix sort for what fits a core's cache: see sort.hpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace weft::kernels {

template <class T>
using Key = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

// Whose order as a number is the order wanted of x.
template <class T, bool kReverse>
inline Key<T> key_of(T x) {
  using K = Key<T>;
  constexpr K kSign = K{1} << (sizeof(K) * 8 - 1);
  K bits = std::bit_cast<K>(x);
  if constexpr (std::is_integral_v<T>) {
    bits ^= kSign;
    return kReverse ? static_cast<K>(~bits) : bits;
  } else {
    constexpr K kInfinity = std::bit_cast<K>(std::numeric_limits<T>::infinity());
    const K unsigned_bits = static_cast<K>(bits & ~kSign);
    bits = unsigned_bits == 0 ? K{0} : bits;
    const K negative = static_cast<K>(K{0} - (bits >> (sizeof(K) * 8 - 1)));  // all ones, or none
    K key = static_cast<K>(bits ^ (negative | kSign));
    if constexpr (kReverse) key = static_cast<K>(~key);
    return unsigned_bits > kInfinity ? static_cast<K>(~K{0}) : key;
  }
}

template <class T, bool kReverse>
class Radix {
 public:
  // Sorts `from` into `to`, or with `in_place` where it is; the other one of the two is scratch.
  // `windows`: so many digits are worth a pass each before the rest is left to insertion.
  static void sort(T* from, T* to, size_t n, bool in_place, size_t windows) {
    T* const wanted = in_place ? from : to;
    if (n == 0) return;
    if (n > UINT32_MAX) {  // all but equal keys, and more than the counts hold
      std::stable_sort(from, from + n, [](T x, T y) { return key_of<T, kReverse>(x) < key_of<T, kReverse>(y); });
      if (!in_place) std::memcpy(to, from, n * sizeof(T));
      return;
    }
    const Range range = range_of(from, n);
    const size_t high = static_cast<size_t>(std::bit_width(range.span)), low = range.zeros;
    const size_t width = n < kFew ? 8 : kMostWidth;
    const size_t all = high <= low ? 0 : (high - low + width - 1) / width;
    const size_t used = std::min(windows, all);
    T* result = passes(from, to, n, range.least, used == all ? low : high - used * width, width, used);
    if (result != wanted) std::memcpy(wanted, result, n * sizeof(T));
    if (used == all || insertion(wanted, n)) return;
    result = passes(wanted, wanted == to ? from : to, n, range.least, low, width, all);
    if (result != wanted) std::memcpy(wanted, result, n * sizeof(T));
  }

 private:
  using K = Key<T>;

  static constexpr size_t kFew = 4096;
  static constexpr size_t kMostWidth = 11;  // 2,048 places: their counts fit the first-level cache
  static constexpr size_t kPlaces = size_t{1} << kMostWidth;
  static constexpr size_t kMostWindows = sizeof(T);  // of 8 bits
  static constexpr size_t kPatience = 8;             // moves for each element

  // Keys are counted from the least: around zero, the upper bits of integers would all differ and say nothing.
  struct Range {
    K least;
    K span;
    size_t zeros;  // lowest bits in which none differs
  };

  static Range range_of(const T* a, size_t n) {
    const K first = key_of<T, kReverse>(a[0]);
    K least = first, most = first, varied = 0;
    for (size_t i = 1; i < n; ++i) {
      const K key = key_of<T, kReverse>(a[i]);
      least = key < least ? key : least;
      most = key > most ? key : most;
      varied |= key ^ first;
    }
    return {least, static_cast<K>(most - least), varied == 0 ? 0 : static_cast<size_t>(std::countr_zero(varied))};
  }

  // Passes over `count` windows of so many bits from bit `low` up. Returns where the result is: one of the two.
  static T* passes(T* from, T* to, size_t n, K least, size_t low, size_t width, size_t count) {
    uint32_t places[kMostWindows * 256 > 6 * kPlaces ? kMostWindows * 256 : 6 * kPlaces];
    const size_t many = size_t{1} << width, mask = many - 1;
    std::fill_n(places, many * count, uint32_t{0});
    for (size_t i = 0; i < n; ++i) {
      K key = static_cast<K>((key_of<T, kReverse>(from[i]) - least) >> low);
      for (size_t window = 0; window < count; ++window) {
        ++places[window * many + (key & mask)];
        key = static_cast<K>(key >> width);
      }
    }
    for (size_t window = 0; window < count; ++window) {
      uint32_t* mine = places + window * many;
      uint32_t place = 0;
      for (size_t digit = 0; digit < many; ++digit) place += std::exchange(mine[digit], place);
      const size_t shift = low + window * width;
      for (size_t i = 0; i < n; ++i) {
        const T x = from[i];
        to[mine[static_cast<size_t>((key_of<T, kReverse>(x) - least) >> shift) & mask]++] = x;
      }
      std::swap(from, to);
    }
    return from;
  }

  // False: it took too many moves, and is not done.
  static bool insertion(T* a, size_t n) {
    size_t moves = 0;
    for (size_t i = 1; i < n; ++i) {
      const T x = a[i];
      const K key = key_of<T, kReverse>(x);
      size_t j = i;
      for (; j > 0 && key_of<T, kReverse>(a[j - 1]) > key; --j) a[j] = a[j - 1];
      a[j] = x;
      moves += i - j;
      if (moves > kPatience * n) return false;
    }
    return true;
  }
};

}  // namespace weft::kernels
