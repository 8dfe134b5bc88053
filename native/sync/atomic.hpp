// The one place that names std::atomic: everything else says sync::Atomic.
//
// With WEFT_SYNC_CHAOS every operation first gives way to other threads now and then, at random. It makes
// interleavings that a quiet machine never shows; the native tests are built once with it and once without.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>

#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
#include <immintrin.h>
#endif

namespace weft::sync {

// Tells the core that this is a spin loop.
inline void cpu_relax() {
#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  asm volatile("yield" ::: "memory");
#endif
}

// A wait for another thread that needs a few instructions more: gives the core away if that one has lost its own.
class SpinWait {
 public:
  void once() {
    if (++turns_ < 64) {
      cpu_relax();
    } else {
      std::this_thread::yield();
    }
  }

 private:
  uint32_t turns_ = 0;
};

#ifdef WEFT_SYNC_CHAOS

inline void perturb() {
  thread_local uint32_t random = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(&random)) | 1u;
  random ^= random << 13;
  random ^= random >> 17;
  random ^= random << 5;
  if ((random & 63u) == 0) std::this_thread::yield();
}

template <class T>
class Atomic {
 public:
  constexpr Atomic() = default;
  constexpr Atomic(T value) : value_(value) {}
  T load(std::memory_order order = std::memory_order_seq_cst) const {
    perturb();
    return value_.load(order);
  }
  void store(T value, std::memory_order order = std::memory_order_seq_cst) {
    perturb();
    value_.store(value, order);
    perturb();
  }
  T exchange(T value, std::memory_order order = std::memory_order_seq_cst) {
    perturb();
    return value_.exchange(value, order);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success = std::memory_order_seq_cst,
                             std::memory_order failure = std::memory_order_seq_cst) {
    perturb();
    return value_.compare_exchange_weak(expected, desired, success, failure);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success = std::memory_order_seq_cst,
                               std::memory_order failure = std::memory_order_seq_cst) {
    perturb();
    return value_.compare_exchange_strong(expected, desired, success, failure);
  }
  T fetch_add(T delta, std::memory_order order = std::memory_order_seq_cst) {
    perturb();
    return value_.fetch_add(delta, order);
  }
  T fetch_sub(T delta, std::memory_order order = std::memory_order_seq_cst) {
    perturb();
    return value_.fetch_sub(delta, order);
  }
  T fetch_or(T bits, std::memory_order order = std::memory_order_seq_cst) {
    perturb();
    return value_.fetch_or(bits, order);
  }
  T fetch_and(T bits, std::memory_order order = std::memory_order_seq_cst) {
    perturb();
    return value_.fetch_and(bits, order);
  }

 private:
  std::atomic<T> value_{};
};

#else

template <class T>
using Atomic = std::atomic<T>;

#endif

// Whether an Atomic<T> may lie in memory that two processes map, at different addresses: no lock beside it, nothing around
// it. Both sides have to be the same build, chaos or not.
template <class T>
inline constexpr bool is_address_free =
    std::atomic<T>::is_always_lock_free && sizeof(Atomic<T>) == sizeof(T) && std::is_trivially_destructible_v<Atomic<T>>;

inline constexpr auto relaxed = std::memory_order_relaxed;
inline constexpr auto acquire = std::memory_order_acquire;
inline constexpr auto release = std::memory_order_release;
inline constexpr auto acq_rel = std::memory_order_acq_rel;
inline constexpr auto seq_cst = std::memory_order_seq_cst;

}  // namespace weft::sync
