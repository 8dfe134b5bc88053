#include "check.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>

namespace weft::test {

namespace {

// One test may take this long, on a loaded machine and under a sanitizer.
constexpr auto kDeadline = std::chrono::seconds(60);

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr size_t kSlowdown = 4;
#else
constexpr size_t kSlowdown = 1;
#endif

Test* first_test = nullptr;
Test** last_link = &first_test;

std::mutex& dumps_mutex() {
  static auto& mutex = *new std::mutex;
  return mutex;
}
std::vector<const Dump*>& dumps() {
  static auto& all = *new std::vector<const Dump*>;
  return all;
}

class Watchdog {
 public:
  explicit Watchdog(const char* test) : test_(test), thread_([this] { watch(); }) {}
  ~Watchdog() {
    {
      std::lock_guard guard(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void watch() {
    std::unique_lock guard(mutex_);
    if (changed_.wait_for(guard, kDeadline, [this] { return over_; })) return;
    std::fprintf(stderr, "HANG in %s (WEFT_SEED=%llu)\n", test_, static_cast<unsigned long long>(seed()));
    {
      std::lock_guard dumping(dumps_mutex());
      for (const Dump* object : dumps()) object->dump();
    }
    std::fflush(nullptr);
    std::abort();
  }

  const char* test_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace

Test::Test(const char* test_name, void (*test_body)()) : name(test_name), body(test_body) {
  *last_link = this;
  last_link = &next;
}

Dump::Dump() {
  std::lock_guard guard(dumps_mutex());
  dumps().push_back(this);
}
Dump::~Dump() {
  std::lock_guard guard(dumps_mutex());
  std::erase(dumps(), this);
}

void fail(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s (WEFT_SEED=%llu)\n", file, line, what,
               static_cast<unsigned long long>(seed()));
  std::fflush(nullptr);
  std::abort();
}

void fail(const char* file, int line, const char* what, long long left, long long right) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s: %lld and %lld (WEFT_SEED=%llu)\n", file, line, what, left, right,
               static_cast<unsigned long long>(seed()));
  std::fflush(nullptr);
  std::abort();
}

uint64_t seed() {
  static const uint64_t value = [] {
    const char* given = std::getenv("WEFT_SEED");
    if (given != nullptr && *given != '\0') return static_cast<uint64_t>(std::strtoull(given, nullptr, 10));
    return static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) % 1'000'000'007u;
  }();
  return value;
}

size_t rounds(size_t normally) {
  static const double factor = [] {
    const char* given = std::getenv("WEFT_ROUNDS");
    return given != nullptr && *given != '\0' ? std::strtod(given, nullptr) : 1.0;
  }();
  return std::max<size_t>(1, static_cast<size_t>(static_cast<double>(normally / kSlowdown) * factor));
}

}  // namespace weft::test

int main(int argc, char** argv) {
  using namespace weft::test;
  std::printf("WEFT_SEED=%llu\n", static_cast<unsigned long long>(seed()));
  int run = 0;
  for (const Test* test = first_test; test != nullptr; test = test->next) {
    const auto named = [&](const char* name) { return std::strcmp(name, test->name) == 0; };
    if (argc > 1 && std::none_of(argv + 1, argv + argc, named)) continue;
    std::printf("%-50s", test->name);
    std::fflush(stdout);
    const auto start = std::chrono::steady_clock::now();
    {
      Watchdog watchdog(test->name);
      test->body();
    }
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    std::printf(" ok %8.1f ms\n", took.count());
    ++run;
  }
  if (run == 0) std::fprintf(stderr, "no such test\n");
  return run > 0 ? 0 : 1;
}
