// What Executor.options() asks for its tasks: one immutable object, shared by all tasks of a view of a pool.
#pragma once

#include "python.hpp"
#include "state.hpp"

namespace weft::core {

struct TaskOptions {
  PyObject ob_base;
  Nanos timeout;       // from the start of the run; kForever: none
  uint32_t retries;    // how often a failed task is run again
  Nanos backoff;       // before the first retry; doubles with each
  PyObject* retry_on;  // an exception class or a tuple of them
  int priority;        // higher first; 0 is the ordinary queue
  PyObject* name;      // str, or null: the function's own name
  PyObject* context;   // a contextvars.Context to run in, or null
  bool copy_context;   // without a context given: a copy of the submitter's (true) or an empty one
};

inline constexpr Nanos kBackoffMost = 60 * sync::kSecond;

// How long to wait before retry number `attempt` (1, 2, ...).
inline Nanos backoff_before(const TaskOptions& options, uint32_t attempt) {
  Nanos delay = options.backoff;
  for (uint32_t i = 1; i < attempt && delay < kBackoffMost; ++i) delay *= 2;
  return delay < kBackoffMost ? delay : (options.backoff > kBackoffMost ? options.backoff : kBackoffMost);
}

extern PyType_Spec options_spec;

}  // namespace weft::core
