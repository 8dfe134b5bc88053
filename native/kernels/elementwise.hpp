// What is done to each element by itself (transform, fill, copy, iota), and looking for elements (count, find).
#pragma once

#include <cstring>

#include "kernels/loop.hpp"
#include "kernels/table.hpp"

namespace weft::kernels {

inline constexpr size_t kStep = 65536;  // elements between two looks at stop()

enum class Transformed : uint8_t { done, overflow, stopped };

// `to` may be `a` or `b`, but not otherwise overlap them. With `stretched`, b is one number. On overflow `to` holds
// rubbish.
template <class T>
Transformed transform(Team& team, const T* a, const T* b, bool stretched, T* to, size_t n, Op op, Chunking chunking) {
  const Table<T>& loops = table<T>();
  const auto which = static_cast<size_t>(op);
  sync::Atomic<bool> lost{false};
  const bool whole = parallel_for(team, n, kStep, 1, chunking, [&](size_t begin, size_t end) {
    const bool too_large = stretched ? loops.transform_by[which](a + begin, *b, to + begin, end - begin)
                                     : loops.transform[which](a + begin, b + begin, to + begin, end - begin);
    if (too_large) lost.store(true, sync::relaxed);
  });
  return !whole ? Transformed::stopped : lost.load(sync::relaxed) ? Transformed::overflow : Transformed::done;
}

template <class T>
bool fill(Team& team, T* to, size_t n, T value, Chunking chunking) {
  return parallel_for(team, n, kStep, 1, chunking, [=](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) to[i] = value;
  });
}

// The two may be the same, but not otherwise overlap.
template <class T>
bool copy(Team& team, const T* from, T* to, size_t n, Chunking chunking) {
  if (from == to) return true;
  return parallel_for(team, n, kStep, 1, chunking, [=](size_t begin, size_t end) {
    std::memcpy(to + begin, from + begin, (end - begin) * sizeof(T));
  });
}

// start, start + step, ...: each by one multiplication, so that errors do not add up. For integers all must fit.
template <class T>
bool iota(Team& team, T* to, size_t n, Value<T> start, Value<T> step, Chunking chunking) {
  return parallel_for(team, n, kStep, 1, chunking, [=](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if constexpr (std::is_floating_point_v<T>) {
        to[i] = static_cast<T>(start + static_cast<double>(i) * step);
      } else {
        // Unsigned: i * step may be beyond the type where the sum is not.
        to[i] = static_cast<T>(static_cast<uint64_t>(start) + static_cast<uint64_t>(i) * static_cast<uint64_t>(step));
      }
    }
  });
}

// False: stopped.
template <class T>
bool count(Team& team, const T* a, size_t n, Compare compare, Value<T> value, Chunking chunking, size_t& found) {
  const auto counted = table<T>().count[static_cast<size_t>(compare)];
  sync::Atomic<size_t> total{0};
  const bool whole = parallel_for(team, n, kStep, 1, chunking, [&](size_t begin, size_t end) {
    total.fetch_add(counted(a + begin, value, end - begin), sync::relaxed);
  });
  found = total.load(sync::relaxed);
  return whole;
}

// The lowest index, or n. Chunks are handed out in rising order, so whatever lies before a find has been begun by the
// time the rest is called off. False: stopped.
template <class T>
bool find(Team& team, const T* a, size_t n, Compare compare, Value<T> value, Chunking chunking, size_t& found) {
  const auto lookup = table<T>().find[static_cast<size_t>(compare)];
  sync::Atomic<size_t> lowest{n};
  const bool whole = parallel_for(team, n, kStep, 1, chunking, [&](size_t begin, size_t end, Loop& loop) {
    size_t seen = lowest.load(sync::relaxed);
    if (begin >= seen) return;
    const size_t at = begin + lookup(a + begin, value, end - begin);
    if (at == end) return;
    while (at < seen && !lowest.compare_exchange_weak(seen, at, sync::relaxed, sync::relaxed)) {
    }
    loop.close_at(at);
  });
  found = lowest.load(sync::relaxed);
  return whole;
}

}  // namespace weft::kernels
