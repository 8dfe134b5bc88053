#include "kernels/sort.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

namespace weft::kernels {

namespace {

constexpr size_t kFew = 256;            // so few are sorted by insertion and merging
constexpr size_t kLeastPart = 65536;    // elements that are worth a thread
constexpr size_t kDigitBits = 8;        // 256 places to write to: more would not fit the first level of the TLB
constexpr size_t kDigits = size_t{1} << kDigitBits;

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
    if (unsigned_bits == 0) bits = 0;
    K key = static_cast<K>((bits & kSign) != 0 ? ~bits : bits | kSign);
    if constexpr (kReverse) key = static_cast<K>(~key);
    return unsigned_bits > kInfinity ? static_cast<K>(~K{0}) : key;
  }
}

template <class K>
inline size_t digit_of(K key, size_t pass) {
  return static_cast<size_t>(key >> (pass * kDigitBits)) & (kDigits - 1);
}

template <class T, bool kReverse>
class RadixSort {
 public:
  RadixSort(Team& team, T* a, T* scratch, size_t n)
      : team_(team), a_(a), scratch_(scratch), n_(n), parts_(std::clamp<size_t>(n / kLeastPart, 1, team.size())),
        counts_(parts_ * kPasses * kDigits) {}

  bool run() {
    if (!each_part([this](size_t part) { count_all(part); })) return false;  // nothing has been moved
    T* from = a_;
    T* to = scratch_;
    bool counted = true;  // the first count is good for the first pass that moves anything
    for (size_t pass = 0; pass < kPasses; ++pass) {
      if (shared_by_all(pass)) continue;
      if (!counted && parts_ > 1 && !each_part([&](size_t part) { count(part, from, pass); })) return gave_up(from);
      make_places(pass);
      if (!each_part([&](size_t part) { move(part, from, to, pass); })) return gave_up(from);
      std::swap(from, to);
      counted = false;
    }
    if (from != a_) {
      (void)each_part([&](size_t part) {  // not to be given up: the result is in the scratch
        std::memcpy(a_ + begin(part), from + begin(part), (begin(part + 1) - begin(part)) * sizeof(T));
        copied_[part] = 1;
      });
      for (size_t part = 0; part < parts_; ++part) {
        if (!copied_[part]) std::memcpy(a_ + begin(part), from + begin(part), (begin(part + 1) - begin(part)) * sizeof(T));
      }
    }
    return true;
  }

 private:
  static constexpr size_t kPasses = sizeof(T) * 8 / kDigitBits;

  template <class Body>
  bool each_part(Body&& body) {
    return parallel_for(team_, parts_, 1, 1, {ChunkKind::dynamic, 1}, [&](size_t first, size_t last) {
      for (size_t part = first; part < last; ++part) body(part);
    });
  }

  size_t begin(size_t part) const { return n_ / parts_ * part + std::min(part, n_ % parts_); }
  size_t* counts(size_t part, size_t pass) { return &counts_[(part * kPasses + pass) * kDigits]; }

  // The digits of every pass at once: all later counts of a digit over the whole array are the same.
  void count_all(size_t part) {
    size_t* all = counts(part, 0);
    const size_t end = begin(part + 1);
    for (size_t i = begin(part); i < end; ++i) {
      const auto key = key_of<T, kReverse>(a_[i]);
      for (size_t pass = 0; pass < kPasses; ++pass) ++all[pass * kDigits + digit_of(key, pass)];
    }
  }

  void count(size_t part, const T* from, size_t pass) {
    size_t* mine = counts(part, pass);
    std::fill_n(mine, kDigits, size_t{0});
    const size_t end = begin(part + 1);
    for (size_t i = begin(part); i < end; ++i) ++mine[digit_of(key_of<T, kReverse>(from[i]), pass)];
  }

  bool shared_by_all(size_t pass) {
    const size_t digit = digit_of(key_of<T, kReverse>(a_[0]), pass);  // any element's: it is all of them, or no matter
    size_t have = 0;
    for (size_t part = 0; part < parts_; ++part) have += counts(part, pass)[digit];
    return have == n_;
  }

  void make_places(size_t pass) {
    size_t place = 0;
    for (size_t digit = 0; digit < kDigits; ++digit) {
      for (size_t part = 0; part < parts_; ++part) {
        size_t& count = counts(part, pass)[digit];
        place += std::exchange(count, place);
      }
    }
  }

  void move(size_t part, const T* from, T* to, size_t pass) {
    size_t* places = counts(part, pass);
    const size_t end = begin(part + 1);
    for (size_t i = begin(part); i < end; ++i) {
      const T x = from[i];
      to[places[digit_of(key_of<T, kReverse>(x), pass)]++] = x;
    }
  }

  bool gave_up(const T* whole) {
    if (whole != a_) std::memcpy(a_, whole, n_ * sizeof(T));
    return false;
  }

  Team& team_;
  T* const a_;
  T* const scratch_;
  const size_t n_;
  const size_t parts_;
  std::vector<size_t> counts_;
  std::vector<char> copied_ = std::vector<char>(parts_);
};

template <class T, bool kReverse>
bool sort_by(Team& team, T* a, T* scratch, size_t n) {
  if (n <= kFew) {
    std::stable_sort(a, a + n, [](T x, T y) { return key_of<T, kReverse>(x) < key_of<T, kReverse>(y); });
    return true;
  }
  return RadixSort<T, kReverse>(team, a, scratch, n).run();
}

}  // namespace

template <class T>
bool sort(Team& team, T* a, T* scratch, size_t n, bool reverse) {
  return reverse ? sort_by<T, true>(team, a, scratch, n) : sort_by<T, false>(team, a, scratch, n);
}

template bool sort<float>(Team&, float*, float*, size_t, bool);
template bool sort<double>(Team&, double*, double*, size_t, bool);
template bool sort<int32_t>(Team&, int32_t*, int32_t*, size_t, bool);
template bool sort<int64_t>(Team&, int64_t*, int64_t*, size_t, bool);

}  // namespace weft::kernels
