// The doorbell: nobody sleeps over what is there, one sleep is rung for once, and a death is seen.
#include <unistd.h>

#include "channel/doorbell.hpp"
#include "check.hpp"
#include "resources.hpp"

using namespace weft;
using namespace weft::test;
using namespace weft::channel;
using Slept = Doorbell::Slept;

namespace {

#if defined(__linux__)
struct Bell {
  BellWord word;
  Descriptor event = make_event();
  DescriptorPair life = make_socket_pair(true);
  Doorbell sleeper{word, event.get()};
  Ringer ringer{word, event.get()};

  Slept sleep(sync::Nanos deadline) { return sleeper.sleep({-1, life.first.get()}, deadline); }
};
#endif

}  // namespace

#if defined(__linux__)

TEST(only_a_sleeper_is_rung_for_and_once) {
  const NothingIsLeft nothing_is_left;
  Bell bell;
  CHECK(!bell.ringer.ring(kBellMessage));
  bell.sleeper.announce(kBellMessage);
  CHECK(!bell.ringer.ring(kBellRoom));
  CHECK(bell.ringer.ring(kBellMessage));
  CHECK(!bell.ringer.ring(kBellMessage));
  CHECK(bell.sleep(sync::kForever) == Slept::rung);
  CHECK(bell.sleep(sync::deadline_after(sync::kMillisecond)) == Slept::timed_out);
  CHECK(bell.sleep(0) == Slept::timed_out);
  // Somebody of the own process, whatever it sleeps for.
  bell.sleeper.announce(kBellRoom);
  CHECK(bell.ringer.ring(kBellWake));
  CHECK(bell.sleep(sync::kForever) == Slept::rung);
}

TEST(a_ring_for_a_sleep_that_was_withdrawn_ends_the_next_one) {
  Bell bell;
  bell.sleeper.announce(kBellMessage);
  CHECK(bell.ringer.ring(kBellMessage));
  bell.sleeper.withdraw();
  bell.sleeper.announce(kBellMessage);
  CHECK(bell.sleep(sync::kForever) == Slept::rung);
}

TEST(a_death_is_seen_and_comes_after_the_bell) {
  const NothingIsLeft nothing_is_left;
  Bell bell;
  bell.sleeper.announce(kBellMessage);
  CHECK(bell.ringer.ring(kBellMessage));
  bell.life.second.reset();
  CHECK(bell.sleep(sync::kForever) == Slept::rung);
  CHECK(bell.sleep(sync::kForever) == Slept::peer_gone);
}

TEST(descriptors_in_the_socket_are_no_death) {
  const NothingIsLeft nothing_is_left;
  Bell bell;
  const std::byte beside{1};
  CHECK_EQ(send_descriptor(bell.life.second.get(), bell.event.get(), {&beside, 1}), 0);
  CHECK(bell.sleep(sync::deadline_after(sync::kMillisecond)) == Slept::timed_out);
}

TEST(no_wake_up_is_lost) {
  const NothingIsLeft nothing_is_left;
  Bell bells[2];
  struct alignas(64) Counter {
    sync::Atomic<uint64_t> value{0};
  } counters[2];
  const sync::Nanos end = sync::deadline_after(2 * sync::kSecond + sync::kSecond / 2);
  std::atomic<uint64_t> slept{0};
  constexpr uint64_t kOver = uint64_t{1} << 60;
  // Each answers the other's number with its own; sometimes at once, sometimes from the edge of sleep.
  on_threads(2, [&](uint32_t me) {
    Random random(seed() + me);
    Counter& mine = counters[me];
    Counter& theirs = counters[1 - me];
    Bell& bell = bells[me];
    uint64_t sleeps = 0;
    for (uint64_t turn = 1;; ++turn) {
      const bool over = me == 0 && turn % 64 == 0 && sync::now() > end;
      const auto say = [&](uint64_t number) {
        mine.value.store(number, sync::seq_cst);
        (void)bells[1 - me].ringer.ring(kBellMessage);
      };
      if (me == 0) say(over ? kOver : turn);
      if (over) break;
      const auto heard = [&] { return theirs.value.load(sync::seq_cst) >= turn; };
      const size_t spins = random.below(4) == 0 ? random.below(200) : 2000;
      for (size_t i = 0; i < spins && !heard(); ++i) sync::cpu_relax();
      while (!heard()) {
        bell.sleeper.announce(kBellMessage);
        if (random.below(8) == 0) random.dawdle(50);
        if (!heard()) {
          ++sleeps;
          CHECK(bell.sleep(sync::deadline_after(10 * sync::kSecond)) == Slept::rung);
        }
        bell.sleeper.withdraw();
      }
      if (me == 1 && theirs.value.load(sync::seq_cst) == kOver) break;
      if (me == 1) say(turn);
    }
    slept.fetch_add(sleeps);
  });
  CHECK(slept.load() > 0);
  std::printf("[%llu turns, %llu sleeps] ", static_cast<unsigned long long>(counters[1].value.load()),
              static_cast<unsigned long long>(slept.load()));
}

#else

TEST(there_is_no_doorbell_here) {
  bool refused = false;
  try {
    (void)make_event();
  } catch (const std::exception&) {
    refused = true;
  }
  CHECK(refused);
}

#endif
