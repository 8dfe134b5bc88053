// A condition variable for sync::Mutex: one word that counts the notifications.
//
// wait() reads the count while it holds the mutex, so a notification that follows a change made under the mutex is
// never missed. Like any condition variable it may return for no reason. Notifications wake everybody: it is for
// things that happen now and then.
#pragma once

#include "sync/mutex.hpp"

namespace weft::sync {

class Condition {
 public:
  // The caller holds `mutex`; it is released while waiting and held again on return.
  void wait(Mutex& mutex, Nanos deadline) {
    const uint32_t seen = notified_.load(acquire);
    mutex.unlock();
    park(notified_, seen, deadline);
    mutex.lock();
  }

  void notify_all() {
    notified_.fetch_add(1, release);
    unpark_all(notified_);
  }

 private:
  ParkWord notified_{0};
};

}  // namespace weft::sync
