// The timer: one thread that calls its clients back when the time they asked for has come.
//
// A client says "not later than" with call_by(); on_time() is called on the timer's thread, does whatever is due
// and returns when it next wants to be called (kForever: not until call_by). Calls may come too early or for nothing:
// clients look at the clock and at their own records.
//
// remove() returns when no call of that client is under way, so a client may be destroyed after it. It must not be
// called from on_time(). The thread is started by the first call_by and ends in the destructor.
#pragma once

#include <thread>
#include <vector>

#include "sync/condition.hpp"

namespace weft {

class Timer {
 public:
  class Client {
   public:
    virtual ~Client() = default;
    virtual sync::Nanos on_time(sync::Nanos now) = 0;

   private:
    friend class Timer;
    sync::Nanos due_ = sync::kForever;  // guarded by the timer's mutex
  };

  Timer() = default;
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void add(Client&);
  void remove(Client&);
  void call_by(Client&, sync::Nanos when);

 private:
  void loop();

  // Plain locking will do: a timer is asked for once per deadline that is earlier than all others, not once per task.
  sync::Mutex mutex_;
  sync::Condition changed_;  // there is something new for the thread
  sync::Condition called_;   // a call has returned
  std::vector<Client*> clients_;
  Client* calling_ = nullptr;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace weft
