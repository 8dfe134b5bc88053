// What the native tests need and no more: CHECK, a seed, a barrier, a watchdog, a list of tests.
//
// A test is TEST(name) { ... }; main() in check.cpp runs all of a file, or those named on the command line. Random
// choices come from Random(seed()): the seed is printed and can be given in WEFT_SEED. A test that hangs is ended by the
// watchdog, which prints what the test's own objects say about themselves (see Dump) and aborts.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "sync/atomic.hpp"

namespace weft::test {

[[noreturn]] void fail(const char* file, int line, const char* what);
[[noreturn]] void fail(const char* file, int line, const char* what, long long left, long long right);

#define CHECK(condition) ((condition) ? void() : ::weft::test::fail(__FILE__, __LINE__, #condition))
#define CHECK_EQ(left, right)                                                                              \
  do {                                                                                                     \
    const auto check_left = static_cast<long long>(left);                                                  \
    const auto check_right = static_cast<long long>(right);                                                \
    if (check_left != check_right)                                                                         \
      ::weft::test::fail(__FILE__, __LINE__, #left " == " #right, check_left, check_right);                \
  } while (false)

struct Test {
  Test(const char* name, void (*body)());
  const char* name;
  void (*body)();
  Test* next = nullptr;
};

#define TEST(test_name)                                               \
  static void test_##test_name();                                     \
  static ::weft::test::Test registered_##test_name(#test_name, &test_##test_name); \
  static void test_##test_name()

uint64_t seed();

// Rounds of a random test: fewer under a sanitizer, times WEFT_ROUNDS if that is set.
size_t rounds(size_t normally);

class Random {
 public:
  explicit Random(uint64_t from) : state_(from * 0x9e3779b97f4a7c15u | 1u) { next(), next(); }
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  size_t below(size_t limit) { return static_cast<size_t>((next() >> 16) % limit); }
  // Some work of no fixed length, so that races do not always fall the same way.
  void dawdle(size_t at_most) {
    for (size_t i = below(at_most + 1); i > 0; --i) sync::cpu_relax();
  }

 private:
  uint64_t state_;
};

// Everybody leaves at once, as far as the machine can.
class Barrier {
 public:
  explicit Barrier(uint32_t threads) : threads_(threads) {}
  void arrive_and_wait() {
    const uint32_t turn = turn_.load();
    if (waiting_.fetch_add(1) + 1 == threads_) {
      waiting_.store(0);
      turn_.store(turn + 1);
      return;
    }
    while (turn_.load() == turn) std::this_thread::yield();
  }

 private:
  const uint32_t threads_;
  std::atomic<uint32_t> waiting_{0};
  std::atomic<uint32_t> turn_{0};
};

// Waits for an event without sleeping; the watchdog is its deadline.
template <class Condition>
void wait_until(Condition&& condition) {
  for (int i = 0; !condition(); ++i) {
    if (i < 64) {
      sync::cpu_relax();
    } else {
      std::this_thread::yield();
    }
  }
}

// Says what an object looks like when the watchdog barks. It is called while other threads may be changing the object.
class Dump {
 public:
  Dump();
  virtual ~Dump();
  Dump(const Dump&) = delete;
  Dump& operator=(const Dump&) = delete;
  virtual void dump() const = 0;
};

// Runs `body(index)` on so many threads, from a barrier, and joins them.
template <class Body>
void on_threads(uint32_t count, Body&& body) {
  Barrier start(count);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace weft::test
