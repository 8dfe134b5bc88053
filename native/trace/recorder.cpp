#include "trace/recorder.hpp"

#include <utility>

#include "sync/signals.hpp"

namespace weft::trace {

namespace {

// Shown by ps, top and debuggers.
void name_this_thread() {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "weft-trace");
#elif defined(__APPLE__)
  pthread_setname_np("weft-trace");
#endif
}

}  // namespace

Recorder::Recorder(std::unique_ptr<Sink> sink, Limits limits) : sink_(std::move(sink)), limits_(limits) {}

void Recorder::start() {
  sync::SignalsBlocked blocked;
  std::thread([self = shared_from_this()] { self->run(); }).detach();
}

std::shared_ptr<Lane> Recorder::add_lane(uint64_t thread) {
  auto lane = std::make_shared<Lane>(thread, limits_.chunks_per_lane, bell_);
  sync::LockGuard guard(mutex_);
  lanes_.push_back(lane);
  return lane;
}

uint32_t Recorder::pool_index(std::string_view name, Flavor flavor) {
  sync::LockGuard guard(mutex_);
  for (size_t i = pools_.size(); i > 0; --i) {  // the newest is the likeliest
    if (pools_[i - 1].name == name && pools_[i - 1].flavor == flavor) return static_cast<uint32_t>(i - 1);
  }
  pools_.push_back({std::string(name), flavor});
  return static_cast<uint32_t>(pools_.size() - 1);
}

const Pool& Recorder::pool(uint32_t index) {
  if (index >= known_pools_.size()) {
    sync::LockGuard guard(mutex_);
    while (known_pools_.size() < pools_.size()) known_pools_.push_back(&pools_[known_pools_.size()]);
  }
  return *known_pools_[index];
}

void Recorder::drain() {
  std::vector<std::shared_ptr<Lane>> lanes;
  {
    sync::LockGuard guard(mutex_);
    lanes = lanes_;
  }
  for (const std::shared_ptr<Lane>& lane : lanes) {
    const bool closed = lane->closed();  // before draining: then what is found is all
    written_ += lane->drain([&](const Event& event, std::string_view name) { sink_->add(event, name, pool(event.pool)); });
    if (!closed) continue;
    dropped_ += lane->dropped();
    sync::LockGuard guard(mutex_);
    std::erase(lanes_, lane);
  }
  sink_->flush();
}

void Recorder::run() {
  name_this_thread();
  for (;;) {
    const bool ending = ending_.load(sync::acquire);
    drain();
    if (ending) break;
    bell_->wait(sync::deadline_after(limits_.interval));
  }
  {
    sync::LockGuard guard(mutex_);
    for (const std::shared_ptr<Lane>& lane : lanes_) {
      dropped_ += lane->dropped();
      lane->retire();
    }
    lanes_.clear();
  }
  sink_->close();
  ended_.store(1, sync::release);
  sync::unpark_all(ended_);
}

void Recorder::request_end() {
  ending_.store(true, sync::release);
  bell_->ring();
}

bool Recorder::wait_ended(sync::Nanos deadline) {
  while (ended_.load(sync::acquire) == 0) {
    if (sync::now() >= deadline) return false;
    sync::park(ended_, 0, deadline);
  }
  return true;
}

}  // namespace weft::trace
