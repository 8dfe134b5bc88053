// What a trace knows of one try of a task, once that try has ended (or the task was cancelled before it began).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sync/clock.hpp"

namespace weft::trace {

enum class Outcome : uint8_t {
  done,
  failed,
  cancelled,    // before it began
  timeout,      // its time was up, and it was stopped
  retried,      // it failed and will be tried again: another event follows
  interrupted,  // it was asked to stop, and did
  abandoned,    // its time was up, and its thread is stuck: settled without it
};

enum class Flavor : uint8_t { threads, serial, interpreters, processes };

// Terminated by a zero, too.
std::string_view name_of(Outcome);
std::string_view name_of(Flavor);

inline constexpr sync::Nanos kNever = 0;

struct Event {
  sync::Nanos submitted;  // or, after a retry, when the try before had failed
  sync::Nanos started;    // kNever: it did not run
  sync::Nanos ended;
  uint64_t thread;        // the system's id of the thread that ran it; 0: none did
  uint32_t pool;          // as Recorder::pool_index said
  int32_t worker;         // its index in the pool; negative: in the submitter's own thread
  Outcome outcome;

  bool ran() const { return started != kNever; }
  sync::Nanos queued() const { return (ran() ? started : ended) - submitted; }
  sync::Nanos duration() const { return ran() ? ended - started : 0; }
};

struct Pool {
  std::string name;
  Flavor flavor;

  // As the worker's thread is called; a serial executor has only the one name.
  std::string worker(int32_t index) const { return index < 0 ? name : name + '_' + std::to_string(index); }
};

}  // namespace weft::trace
