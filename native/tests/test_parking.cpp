// Parking: no unpark is missed, deadlines are kept, an address is only a key.
#include <memory>

#include "check.hpp"
#include "sync/parking.hpp"

using namespace weft;
using namespace weft::test;
using sync::kForever;
using sync::kMillisecond;
using sync::Parked;
using sync::ParkWord;

TEST(does_not_sleep_if_the_word_has_changed) {
  ParkWord word{1};
  CHECK(sync::park(word, 0, kForever) == Parked::woken);
}

TEST(a_deadline_ends_the_sleep) {
  ParkWord word{0};
  const sync::Nanos until = sync::deadline_after(5 * kMillisecond);
  while (sync::park(word, 0, until) != Parked::timed_out) {
  }
  CHECK(sync::now() >= until);
}

TEST(a_deadline_that_is_over_ends_it_at_once) {
  ParkWord word{0};
  for (sync::Nanos long_ago : {sync::now() - 1, sync::Nanos{0}, sync::Nanos{-1}, std::numeric_limits<sync::Nanos>::min()}) {
    CHECK(sync::park(word, 0, long_ago) == Parked::timed_out);
  }
}

TEST(a_deadline_does_not_overflow) {
  CHECK_EQ(sync::deadline_after(kForever), kForever);
  CHECK_EQ(sync::deadline_after(kForever - 1), kForever);
  ParkWord word{0};
  std::thread waker([&] {
    word.store(1);
    sync::unpark_all(word);
  });
  while (word.load() == 0) (void)sync::park(word, 0, kForever - 1);
  waker.join();
}

TEST(there_and_back) {
  // Two threads hand a number to each other; each sleeps until it is its turn.
  ParkWord word{0};
  const auto turns = static_cast<uint32_t>(rounds(20000));
  on_threads(2, [&](uint32_t me) {
    Random random(seed() + me);
    for (uint32_t turn = me; turn < turns; turn += 2) {
      for (uint32_t now; (now = word.load(sync::acquire)) != turn;) (void)sync::park(word, now, kForever);
      if (random.below(8) == 0) random.dawdle(500);
      word.store(turn + 1, sync::release);
      sync::unpark_one(word);
    }
  });
  CHECK(word.load() >= turns - 1);
}

TEST(unpark_all_wakes_all) {
  for (size_t round = 0; round < rounds(200); ++round) {
    ParkWord word{0};
    on_threads(4, [&](uint32_t me) {
      if (me == 0) {
        Random(seed() + round).dawdle(2000);
        word.store(1, sync::release);
        sync::unpark_all(word);
      } else {
        while (word.load(sync::acquire) == 0) (void)sync::park(word, 0, kForever);
      }
    });
  }
}

TEST(the_word_may_be_gone_when_it_is_unparked) {
  // The sleeper frees the word as soon as it sees the change; the waker unparks an address that is nobody's.
  for (size_t round = 0; round < rounds(2000); ++round) {
    auto* word = new ParkWord{0};
    on_threads(2, [&](uint32_t me) {
      if (me == 0) {
        while (word->load(sync::acquire) == 0) (void)sync::park(*word, 0, kForever);
        delete word;
      } else {
        const ParkWord& key = *word;
        word->store(1, sync::release);
        sync::unpark_one(key);
      }
    });
  }
}
