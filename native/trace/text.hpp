// Text that is put together quickly: what the drainer spends its time on. Room is made once for a line, then nothing is
// checked; printf and std::string would take five times as long.
#pragma once

#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "sync/clock.hpp"

namespace weft::trace {

class Text {
 public:
  static constexpr size_t kMostPerInteger = 24;
  // What a string may become in json().
  static constexpr size_t in_json(size_t bytes) { return 6 * bytes + 2; }

  // From here on there is room for so many bytes.
  void make_room(size_t bytes) {
    if (static_cast<size_t>(end_ - at_) < bytes) grow(bytes);
  }
  std::string_view view() const { return {bytes_.get(), size()}; }
  size_t size() const { return static_cast<size_t>(at_ - bytes_.get()); }
  void clear() { at_ = bytes_.get(); }
  // Moves what is there from `where` on, to put so many spaces before it.
  void insert_spaces(size_t where, size_t count) {
    make_room(count);
    char* from = bytes_.get() + where;
    std::memmove(from + count, from, size() - where);
    std::memset(from, ' ', count);
    at_ += count;
  }

  // --- only with room for it ---
  void put(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put(char c) { *at_++ = c; }
  template <class Integer>
  void integer(Integer value) {
    at_ = std::to_chars(at_, at_ + kMostPerInteger, value).ptr;
  }
  // In seconds with nine decimals, or in microseconds with three: all that there are, so nothing is rounded.
  void seconds(sync::Nanos nanos) {
    whole(&nanos, sync::kSecond);
    const auto rest = static_cast<uint32_t>(nanos);
    at_[0] = '.';
    at_[1] = static_cast<char>('0' + rest / 100'000'000);
    pair(at_ + 2, rest / 1'000'000 % 100);
    pair(at_ + 4, rest / 10'000 % 100);
    pair(at_ + 6, rest / 100 % 100);
    pair(at_ + 8, rest % 100);
    at_ += 10;
  }
  void microseconds(sync::Nanos nanos) {
    whole(&nanos, sync::kMicrosecond);
    const auto rest = static_cast<uint32_t>(nanos);
    at_[0] = '.';
    at_[1] = static_cast<char>('0' + rest / 100);
    pair(at_ + 2, rest % 100);
    at_ += 4;
  }
  // A string as JSON has it, with its quotes. For what is UTF-8.
  void json(std::string_view text) {
    put('"');
    for (const char c : text) {
      if (c == '"' || c == '\\') {
        put('\\');
      } else if (static_cast<unsigned char>(c) < 0x20) {
        put("\\u00");
        put(static_cast<char>('0' + c / 16));
        put("0123456789abcdef"[c % 16]);
        continue;
      }
      put(c);
    }
    put('"');
  }

 private:
  // Writes the whole units, and leaves the rest.
  void whole(sync::Nanos* nanos, sync::Nanos unit) {
    if (*nanos < 0) {
      put('-');
      *nanos = -*nanos;
    }
    const sync::Nanos units = *nanos / unit;
    integer(units);
    *nanos -= units * unit;
  }
  static void pair(char* to, uint32_t below_100) {
    to[0] = static_cast<char>('0' + below_100 / 10);
    to[1] = static_cast<char>('0' + below_100 % 10);
  }
  void grow(size_t bytes) {
    const size_t used = size();
    const size_t capacity = 2 * (used + bytes);
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    if (used != 0) std::memcpy(larger.get(), bytes_.get(), used);
    bytes_ = std::move(larger);
    at_ = bytes_.get() + used;
    end_ = bytes_.get() + capacity;
  }

  std::unique_ptr<char[]> bytes_;
  char* at_ = nullptr;
  char* end_ = nullptr;
};

}  // namespace weft::trace
