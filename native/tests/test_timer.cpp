// The timer: nobody is called too late for ever, and nobody after remove().
#include <memory>

#include "check.hpp"
#include "timer/timer.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <csignal>
#include <pthread.h>
#endif

using namespace weft;
using namespace weft::test;
using sync::kForever;
using sync::kMicrosecond;
using sync::kMillisecond;

namespace {

struct Client : Timer::Client {
  sync::Nanos on_time(sync::Nanos now) override {
    CHECK(alive.load());
    last.store(now);
    const sync::Nanos again = next.load();
    calls.fetch_add(1);
    return again;
  }
  ~Client() override { alive.store(false); }
  std::atomic<bool> alive{true};
  std::atomic<uint32_t> calls{0};
  std::atomic<sync::Nanos> last{0};
  std::atomic<sync::Nanos> next{kForever};
};

}  // namespace

TEST(calls_when_it_is_time) {
  Timer timer;
  Client client;
  timer.add(client);
  const sync::Nanos when = sync::deadline_after(3 * kMillisecond);
  timer.call_by(client, when);
  wait_until([&] { return client.calls.load() == 1; });
  CHECK(client.last.load() >= when);
  timer.call_by(client, 0);  // once more: it is not due before
  wait_until([&] { return client.calls.load() == 2; });
  timer.remove(client);
}

TEST(an_earlier_deadline_goes_before) {
  Timer timer;
  Client client;
  timer.add(client);
  timer.call_by(client, sync::deadline_after(3600 * sync::kSecond));
  timer.call_by(client, sync::deadline_after(1 * kMillisecond));
  timer.call_by(client, sync::deadline_after(1800 * sync::kSecond));
  wait_until([&] { return client.calls.load() == 1; });
  timer.remove(client);
}

TEST(goes_on_while_the_client_says_so) {
  Timer timer;
  Client busy, other;
  timer.add(busy);
  timer.add(other);
  busy.next.store(0);  // always due: the other one must have its turn all the same
  timer.call_by(busy, 0);
  timer.call_by(other, sync::now());
  wait_until([&] { return other.calls.load() == 1 && busy.calls.load() > 100; });
  busy.next.store(kForever);
  timer.remove(busy);
  timer.remove(other);
}

TEST(ends_without_having_been_used) {
  { Timer never; }
  Timer timer;
  Client client;
  timer.add(client);
  timer.remove(client);
}

TEST(ends_with_deadlines_in_the_future) {
  Client client;
  Timer timer;
  timer.add(client);
  timer.call_by(client, kForever - 1);
}

TEST(nobody_is_called_after_remove) {
  Random random(seed());
  Timer timer;
  for (size_t round = 0; round < rounds(2000); ++round) {
    auto client = std::make_unique<Client>();
    timer.add(*client);
    client->next.store(random.below(2) == 0 ? 0 : kForever);
    timer.call_by(*client, sync::deadline_after(static_cast<sync::Nanos>(random.below(20)) * kMicrosecond));
    random.dawdle(500);
    timer.remove(*client);
    client.reset();
  }
}

TEST(many_clients_and_callers) {
  Timer timer;
  on_threads(4, [&](uint32_t me) {
    Random mine(seed() + me);
    for (size_t round = 0; round < rounds(200); ++round) {
      Client client;
      timer.add(client);
      for (uint32_t i = 1; i <= 5; ++i) {
        timer.call_by(client, sync::deadline_after(static_cast<sync::Nanos>(mine.below(30)) * kMicrosecond));
        wait_until([&] { return client.calls.load() >= i; });
      }
      timer.remove(client);
    }
  });
}

TEST(a_call_by_during_the_call_counts) {
  struct Again : Timer::Client {
    explicit Again(Timer& its) : timer(its) {}
    sync::Nanos on_time(sync::Nanos) override {
      if (calls.fetch_add(1) + 1 < 50) timer.call_by(*this, 0);
      return kForever;
    }
    Timer& timer;
    std::atomic<uint32_t> calls{0};
  };
  Timer timer;
  Again client(timer);
  timer.add(client);
  timer.call_by(client, 0);
  wait_until([&] { return client.calls.load() == 50; });
  timer.remove(client);
}

#if defined(__unix__) || defined(__APPLE__)
TEST(signals_stay_away_from_the_timer) {
  struct Asks : Timer::Client {
    sync::Nanos on_time(sync::Nanos) override {
      sigset_t mask;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      blocked.store(sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGTERM) == 1 ? 1 : 0);
      return kForever;
    }
    std::atomic<int> blocked{-1};
  };
  Timer timer;
  Asks client;
  timer.add(client);
  timer.call_by(client, 0);
  wait_until([&] { return client.blocked.load() >= 0; });
  CHECK_EQ(client.blocked.load(), 1);
  sigset_t mine;
  pthread_sigmask(SIG_SETMASK, nullptr, &mine);
  CHECK_EQ(sigismember(&mine, SIGINT), 0);
  timer.remove(client);
}
#endif
