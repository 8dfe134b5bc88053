// Exact integers for sums and products: nothing that is added up here can overflow unnoticed.
//
// Wide holds any sum of fewer than 2^63 products of two int64. Product holds a product of int64s up to 128 bits and
// knows when it was more. MSVC has no 128-bit integer; multiply_portable is what it gets, and is tested everywhere.
#pragma once

#include <cstdint>

#include "kernels/isa.hpp"

namespace weft::kernels {

struct Words {  // 128 bits
  uint64_t low;
  uint64_t high;
};

// Schoolbook multiplication by halves (Knuth, TAOCP vol. 2, 4.3.1, algorithm M).
constexpr Words multiply_portable(uint64_t a, uint64_t b) {
  const uint64_t a_low = a & 0xffffffffu, a_high = a >> 32;
  const uint64_t b_low = b & 0xffffffffu, b_high = b >> 32;
  const uint64_t low = a_low * b_low;
  const uint64_t cross = a_high * b_low + (low >> 32);
  const uint64_t middle = a_low * b_high + (cross & 0xffffffffu);
  return {(middle << 32) | (low & 0xffffffffu), a_high * b_high + (cross >> 32) + (middle >> 32)};
}

constexpr Words multiply(uint64_t a, uint64_t b) {
#if WEFT_GNU && defined(__SIZEOF_INT128__)
  const auto product = static_cast<unsigned __int128>(a) * b;
  return {static_cast<uint64_t>(product), static_cast<uint64_t>(product >> 64)};
#else
  return multiply_portable(a, b);
#endif
}

constexpr uint64_t magnitude(int64_t value) {
  return value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
}

// A signed number of 192 bits, two's complement.
struct Wide {
  uint64_t low = 0;
  uint64_t middle = 0;
  uint64_t high = 0;

  static constexpr Wide of(int64_t value) {
    const uint64_t sign = value < 0 ? ~uint64_t{0} : 0;
    return {static_cast<uint64_t>(value), sign, sign};
  }
  static constexpr Wide product(int64_t a, int64_t b) {
    const Words words = multiply(magnitude(a), magnitude(b));
    const Wide positive{words.low, words.high, 0};
    return (a < 0) != (b < 0) ? positive.negated() : positive;
  }
  constexpr Wide negated() const {
    Wide result{~low, ~middle, ~high};
    result.add({1, 0, 0});
    return result;
  }
  constexpr void add(const Wide& other) {
    low += other.low;
    const uint64_t carry = low < other.low;
    middle += other.middle;
    uint64_t carry_up = middle < other.middle;
    middle += carry;
    carry_up += middle < carry;
    high += other.high + carry_up;
  }
  constexpr bool fits() const {  // in an int64
    const uint64_t sign = static_cast<int64_t>(low) < 0 ? ~uint64_t{0} : 0;
    return middle == sign && high == sign;
  }
  constexpr int64_t value() const { return static_cast<int64_t>(low); }  // where it fits
};

// Sign and magnitude of a product. Once a factor is zero it is zero, whatever there was before: that a product without
// zeros was more than 128 bits at any time means that all of it is.
struct Product {
  Words magnitude_ = {1, 0};
  bool negative = false;
  bool overflow = false;

  constexpr bool zero() const { return (magnitude_.low | magnitude_.high) == 0; }
  constexpr void multiply_by(int64_t factor) {
    Product other;
    other.magnitude_ = {magnitude(factor), 0};
    other.negative = factor < 0;
    multiply_by(other);
  }
  constexpr void multiply_by(const Product& other) {
    if (zero() || other.zero()) {
      *this = Product{{0, 0}, false, false};
      return;
    }
    negative = negative != other.negative;
    overflow = overflow || other.overflow || (magnitude_.high != 0 && other.magnitude_.high != 0);
    if (overflow) {
      magnitude_ = {1, 0};  // any but zero
      return;
    }
    const Words lows = multiply(magnitude_.low, other.magnitude_.low);
    const Words cross = magnitude_.high != 0 ? multiply(magnitude_.high, other.magnitude_.low)
                                             : multiply(magnitude_.low, other.magnitude_.high);
    const uint64_t high = lows.high + cross.low;
    overflow = cross.high != 0 || high < cross.low;
    magnitude_ = overflow ? Words{1, 0} : Words{lows.low, high};
  }
  constexpr bool fits() const {  // in an int64
    if (overflow || magnitude_.high != 0) return false;
    return magnitude_.low <= (negative ? uint64_t{1} << 63 : ~uint64_t{0} >> 1);
  }
  constexpr int64_t value() const {  // where it fits
    return static_cast<int64_t>(negative ? uint64_t{0} - magnitude_.low : magnitude_.low);
  }
};

}  // namespace weft::kernels
