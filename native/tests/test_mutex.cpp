// The mutex: one at a time, nobody sleeps for ever, and it may be destroyed by whoever locked it last.
#include <memory>

#include "check.hpp"
#include "sync/mutex.hpp"

using namespace weft;
using namespace weft::test;

TEST(one_at_a_time) {
  sync::Mutex mutex;
  size_t counter = 0;  // plain: the mutex is what orders it
  const size_t each = rounds(20000);
  on_threads(4, [&](uint32_t me) {
    Random random(seed() + me);
    for (size_t i = 0; i < each; ++i) {
      sync::LockGuard guard(mutex);
      ++counter;
      if (random.below(256) == 0) std::this_thread::yield();  // so that the others really park
    }
  });
  CHECK_EQ(counter, 4 * each);
}

TEST(try_lock_tells) {
  sync::Mutex mutex;
  CHECK(mutex.try_lock());
  CHECK(!mutex.try_lock());
  mutex.unlock();
  CHECK(mutex.try_lock());
  mutex.unlock();
}

TEST(the_last_one_may_destroy_it) {
  for (size_t round = 0; round < rounds(2000); ++round) {
    struct Shared {
      sync::Mutex mutex;
      int users = 2;
    };
    auto* shared = new Shared;
    on_threads(2, [&](uint32_t) {
      shared->mutex.lock();
      const bool last = --shared->users == 0;
      shared->mutex.unlock();  // the other one may be waiting for this, and then free it
      if (last) delete shared;
    });
  }
}
