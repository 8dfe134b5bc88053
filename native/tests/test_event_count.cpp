// The event count: no wake-up is lost, no permit is left over, nobody is counted twice.
#include "check.hpp"
#include "sync/event_count.hpp"

using namespace weft;
using namespace weft::test;
using sync::EventCount;
using Notified = sync::EventCount::Notified;

TEST(what_a_notification_says) {
  EventCount idlers;
  CHECK(idlers.notify_one() == Notified::nobody_sleeps);
  idlers.begin_search();
  CHECK(idlers.notify_one() == Notified::not_needed);
  idlers.begin_search();
  CHECK(!idlers.end_search());
  CHECK(idlers.end_search());
  idlers.begin_search();
  idlers.prepare_sleep();
  CHECK_EQ(idlers.counts().searching, 0);
  CHECK_EQ(idlers.counts().sleeping, 1);
  CHECK(idlers.notify_one() == Notified::woke);
  CHECK(idlers.notify_one() == Notified::not_needed);
  idlers.sleep();  // the permit is there
  CHECK_EQ(idlers.counts().searching, 1);
  CHECK(idlers.end_search());
}

TEST(a_cancelled_sleep_takes_its_permit_along) {
  EventCount idlers;
  idlers.begin_search();
  idlers.prepare_sleep();
  CHECK(idlers.notify_one() == Notified::woke);
  idlers.cancel_sleep();  // notified already: this must eat the permit
  CHECK_EQ(idlers.counts().searching, 1);
  idlers.prepare_sleep();
  idlers.cancel_sleep();  // not notified: back by itself
  CHECK_EQ(idlers.counts().searching, 1);
  // Was a permit left over, this sleeper would come back without a notification.
  idlers.prepare_sleep();
  std::atomic<bool> awake{false};
  std::thread sleeper([&] {
    idlers.sleep();
    awake.store(true);
  });
  for (int i = 0; i < 1000; ++i) {
    CHECK(!awake.load());
    std::this_thread::yield();
  }
  CHECK(idlers.notify_one() == Notified::woke);
  sleeper.join();
  CHECK(idlers.end_search());
}

TEST(every_item_is_found) {
  // Producers count items up, consumers sleep when there are none: it hangs if one is put there unseen.
  Random random(seed());
  for (size_t round = 0; round < rounds(60); ++round) {
    constexpr uint32_t kProducers = 2;
    const auto consumers = static_cast<uint32_t>(1 + random.below(3));
    const uint32_t each = 300;
    EventCount idlers;
    sync::Atomic<int32_t> items{0};
    std::atomic<uint32_t> consumed{0};
    std::atomic<bool> over{false};
    const auto take = [&] {
      int32_t seen = items.load();
      while (seen > 0) {
        if (items.compare_exchange_weak(seen, seen - 1)) return true;
      }
      return false;
    };
    on_threads(kProducers + consumers, [&](uint32_t me) {
      Random mine(seed() + round * 16 + me);
      if (me < kProducers) {
        for (uint32_t i = 0; i < each; ++i) {
          items.fetch_add(1);
          (void)idlers.notify_one();
          mine.dawdle(100);
        }
        return;
      }
      bool searching = true;
      idlers.begin_search();
      while (!over.load()) {
        if (take()) {
          if (searching) {
            searching = false;
            if (idlers.end_search() && items.load() > 0) (void)idlers.notify_one();
          }
          if (consumed.fetch_add(1) + 1 == kProducers * each) {
            over.store(true);
            idlers.notify_all();
          }
          continue;
        }
        if (!searching) {
          idlers.begin_search();
          searching = true;
        }
        idlers.prepare_sleep();
        if (items.load() > 0 || over.load() || mine.below(4) == 0) {
          idlers.cancel_sleep();
        } else {
          idlers.sleep();
        }
      }
      if (searching) (void)idlers.end_search();
    });
    CHECK_EQ(consumed.load(), kProducers * each);
    CHECK_EQ(idlers.counts().searching, 0);
    CHECK_EQ(idlers.counts().sleeping, 0);
    // No permit is left: notify_one would say "woke" only to a sleeper, and a fresh sleeper needs a fresh one.
    idlers.begin_search();
    idlers.prepare_sleep();
    CHECK(idlers.notify_one() == Notified::woke);
    idlers.sleep();
    (void)idlers.end_search();
  }
}

TEST(notify_all_wakes_all_that_sleep) {
  for (size_t round = 0; round < rounds(300); ++round) {
    EventCount idlers;
    std::atomic<bool> over{false};
    on_threads(4, [&](uint32_t me) {
      if (me == 0) {
        Random(seed() + round).dawdle(2000);
        over.store(true);
        idlers.notify_all();
        return;
      }
      idlers.begin_search();
      while (!over.load()) {
        idlers.prepare_sleep();
        if (over.load()) {
          idlers.cancel_sleep();
        } else {
          idlers.sleep();
        }
      }
      (void)idlers.end_search();
    });
    CHECK_EQ(idlers.counts().searching, 0);
    CHECK_EQ(idlers.counts().sleeping, 0);
  }
}
