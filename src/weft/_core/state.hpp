// What one interpreter's copy of the module knows: its types, the stdlib objects it works with, its pools.
//
// Everything here belongs to one interpreter and is touched with its thread state attached, but for the atomics.
#pragma once

#include <memory>

#include "python.hpp"
#include "sync/mutex.hpp"
#include "timer/timer.hpp"

namespace weft::trace {
class Recorder;
}

namespace weft::core {

struct PoolCore;

struct State {
  // Ours.
  PyTypeObject* future_type;
  PyTypeObject* pool_type;
  PyTypeObject* options_type;
  PyTypeObject* entry_type;
  PyTypeObject* drain_type;
  PyTypeObject* gather_type;
  PyTypeObject* awaiter_type;
  PyTypeObject* inbox_type;
  PyTypeObject* mailbox_type;
  PyTypeObject* lent_type;  // of what actors are lent

  // The stdlib's.
  PyObject* stdlib_future;    // concurrent.futures.Future
  PyObject* cancelled_error;  // concurrent.futures.CancelledError
  PyObject* condition_type;   // threading.Condition
  PyObject* word_pending;     // the state words of concurrent.futures._base
  PyObject* word_running;
  PyObject* word_cancelled;
  PyObject* word_finished;

  // asyncio's function, fetched when first needed, and only where asyncio is imported.
  Atomic<PyObject*> get_running_loop;

  // weft.errors, imported when first needed.
  PyObject* errors;

  // Interned.
  PyObject* str_acquire;
  PyObject* str_release;
  PyObject* str_notify_all;
  PyObject* str_add_result;
  PyObject* str_add_exception;
  PyObject* str_add_cancelled;
  PyObject* str_qualname;
  PyObject* str_unnamed;
  PyObject* str_result;
  PyObject* str_exception;
  PyObject* str_done;
  PyObject* str_cancel;
  PyObject* str_cancelled;
  PyObject* str_add_done_callback;
  PyObject* str_call_soon;
  PyObject* str_call_soon_threadsafe;
  PyObject* str_run_sync_soon;
  PyObject* str_weft_inbox;
  PyObject* str_asyncio_events;
  PyObject* str_trio;
  PyObject* kwnames_context;  // ("context",)

  PyObject* no_op;  // a Python function that does nothing, see ThreadRunner::catch_up

  PyInterpreterState* interpreter;
  unsigned long main_thread;

  // Pools whose threads may still run, newest first; guarded by pools_mutex (fork: remade in the child).
  PoolCore* pools;
  sync::Mutex pools_mutex;
  // One timer for all pools of this interpreter; lives while a pool uses it.
  std::weak_ptr<Timer> timer;
  // Tracing, see trace.hpp: the number of the trace that is on, 0 while it is off; and its recorder, guarded by the mutex.
  Atomic<uint32_t> trace_session;
  sync::Mutex trace_mutex;
  std::shared_ptr<trace::Recorder> recorder;
  PyObject* chunk_runners[5];  // tasks of these functions are named after their first argument; null: none

  Atomic<bool> closing;  // the interpreter is about to end: no new tasks
  Atomic<uint32_t> waiting;  // threads that wait for a Future, detached; only kept where there is a GIL
};

// The state of the module that defined this exact type.
inline State* state_of_type(PyTypeObject* type) { return static_cast<State*>(PyType_GetModuleState(type)); }

// An exception class of weft.errors, borrowed; null with an exception set.
PyObject* error_class(State*, const char* name);

// How often the process has forked, seen from here: 0, or more in a child. Pools and futures remember theirs.
extern sync::Atomic<uint32_t> fork_generation;

}  // namespace weft::core
