// The recorder: one trace from its begin to its end, with the one thread that drains the lanes into the sink.
//
// Every thread that has something to record asks for a lane, once, and writes into it from then on without a lock. The
// drainer goes round every `interval`, or sooner when a lane is filling up.
//
// Ends: request_end() makes the drainer go round once more, close the sink and leave; wait_ended() waits for that. What
// is written into a lane later is lost with the lane. Dropping the last reference before that leaves the
// drainer to finish by itself: it holds the recorder too.
// Pinned by native/tests/test_trace_recorder.cpp.
#pragma once

#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "sync/mutex.hpp"
#include "trace/lane.hpp"
#include "trace/sink.hpp"

namespace weft::trace {

class Recorder : public std::enable_shared_from_this<Recorder> {
 public:
  struct Limits {
    uint32_t chunks_per_lane = 512;  // 16 MiB
    sync::Nanos interval = 100 * sync::kMillisecond;
  };

  Recorder(std::unique_ptr<Sink> sink, Limits limits);

  // Starts the drainer. Throws std::system_error if there can be no thread.
  void start();

  // --- any thread ---
  std::shared_ptr<Lane> add_lane(uint64_t thread);  // throws std::bad_alloc
  uint32_t pool_index(std::string_view name, Flavor);
  void count_lost() { lost_.fetch_add(1, sync::relaxed); }  // one that got no lane

  void request_end();
  bool wait_ended(sync::Nanos deadline);  // true: the drainer is through, and what follows may be read
  // After the end.
  uint64_t written() const { return written_; }
  uint64_t dropped() const { return dropped_ + lost_.load(sync::relaxed); }
  Sink& sink() { return *sink_; }

 private:
  void run();
  void drain();
  const Pool& pool(uint32_t index);

  const std::unique_ptr<Sink> sink_;
  const Limits limits_;
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();

  sync::Mutex mutex_;  // guards the next two; taken once per thread and once per pool and thread
  std::vector<std::shared_ptr<Lane>> lanes_;
  std::deque<Pool> pools_;  // never moved, never removed
  std::vector<const Pool*> known_pools_;  // the drainer's copy

  sync::Atomic<bool> ending_{false};
  sync::ParkWord ended_{0};
  sync::Atomic<uint64_t> lost_{0};
  // The drainer's.
  uint64_t written_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace weft::trace
