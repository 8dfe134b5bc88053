#include "timer/timer.hpp"

#include <algorithm>

#include "sync/signals.hpp"

namespace weft {

namespace {

// Shown by ps, top and debuggers.
void name_this_thread() {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "weft-timer");
#elif defined(__APPLE__)
  pthread_setname_np("weft-timer");
#endif
}

}  // namespace

Timer::~Timer() {
  {
    sync::LockGuard guard(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Timer::add(Client& client) {
  sync::LockGuard guard(mutex_);
  client.due_ = sync::kForever;
  clients_.push_back(&client);
}

void Timer::remove(Client& client) {
  sync::LockGuard guard(mutex_);
  std::erase(clients_, &client);
  while (calling_ == &client) called_.wait(mutex_, sync::kForever);
}

void Timer::call_by(Client& client, sync::Nanos when) {
  {
    sync::LockGuard guard(mutex_);
    if (when >= client.due_) return;
    if (!thread_.joinable()) {
      sync::SignalsBlocked blocked;
      thread_ = std::thread([this] { loop(); });
    }
    // Only now: if the thread could not be made, the next call_by tries again. Not before the present: a client that is
    // always long overdue would be the first for ever, and others never called.
    client.due_ = std::max(when, sync::now());
  }
  changed_.notify_all();
}

void Timer::loop() {
  name_this_thread();
  sync::LockGuard guard(mutex_);
  while (!ending_) {
    const auto earliest = std::min_element(clients_.begin(), clients_.end(),
                                           [](const Client* a, const Client* b) { return a->due_ < b->due_; });
    if (earliest == clients_.end() || (*earliest)->due_ == sync::kForever) {
      changed_.wait(mutex_, sync::kForever);
      continue;
    }
    Client& client = **earliest;
    if (client.due_ > sync::now()) {
      changed_.wait(mutex_, client.due_);
      continue;
    }
    client.due_ = sync::kForever;  // a call_by from here on counts
    calling_ = &client;
    mutex_.unlock();
    const sync::Nanos next = client.on_time(sync::now());
    mutex_.lock();
    client.due_ = std::min(client.due_, std::max(next, sync::now()));
    calling_ = nullptr;
    called_.notify_all();
  }
}

}  // namespace weft
