// A pool: the scheduler, and what ties it to one interpreter.
//
// PoolCore outlives the executor object that made it: worker threads hold it too. When the last handle (an executor or
// a view of it) goes, the pool drains: what is queued still runs, then the workers leave.
//
// The gate decides about new tasks. Closing it and submitting are ordered like this: a submit publishes its task, then
// looks at the gate again; closing shuts the gate, then lets workers leave once they see no work. One of the two sees
// the other (both are seq_cst), so no task is left behind in a pool that nobody serves.
//
// Ends: close (gate, drain or cancel) -> workers leave -> the last reference frees it. In a forked child it is never
// freed: its locks may be held by threads that do not exist there.
#pragma once

#include <memory>
#include <vector>

#include "future/future.hpp"
#include "python.hpp"
#include "scheduler/scheduler.hpp"
#include "remote/remote.hpp"
#include "state.hpp"
#include "trace/event.hpp"

namespace weft::core {

enum class Gate : uint32_t { open, shut, broken };

struct PoolCore final : Timer::Client {
  PoolCore(State* state, PyObject* module, size_t max_workers, size_t cpus);
  ~PoolCore() override;

  Scheduler scheduler;
  State* const state;
  PyObject* const module;  // strong: keeps `state` alive
  const uint32_t generation;
  const uint16_t tag;  // see Future::pool_tag
  const size_t cpus;  // that this process may use
  PoolCore* next_pool = nullptr;  // State::pools, guarded by its mutex
  PoolCore* previous_pool = nullptr;

  // Set before the first task, constant afterwards. All strong.
  PyObject* start_thread = nullptr;  // start_thread(entry, name): makes a thread that calls entry()
  PyObject* name_prefix = nullptr;
  PyObject* initializer = nullptr;   // null: none
  PyObject* initargs = nullptr;
  size_t max_pending = 0;            // 0: unbounded
  bool in_caller = false;            // no workers: tasks run in submit()
  trace::Flavor flavor = trace::Flavor::threads;
  std::unique_ptr<Remote> remote;    // null: workers share the caller's objects
  // Tasks are called through this while `routing` says so: router(function, ...). Set once; threads only. Strong.
  PyObject* router = nullptr;
  Atomic<bool> routing{false};

  Atomic<Gate> gate{Gate::open};
  Atomic<bool> cancel_queued{false};         // workers cancel what they find instead of running it
  Atomic<PyObject*> broken_by{nullptr};      // strong: why the gate is `broken`
  Atomic<uint32_t> references{1};
  Atomic<uint32_t> handles{1};
  Atomic<uint64_t> finished{0};              // tasks that ran, counted in batches
  Atomic<uint32_t> abandoned{0};             // threads stuck in C whose task was settled without them
  sync::ParkWord queue_length{0};            // tasks that wait; only kept where max_pending is set
  Atomic<uint64_t> trace_pool{0};            // the trace that knows of it << 32 | its number there

  // --- timer: deadlines of running tasks, retries that wait ---
  sync::Nanos on_time(sync::Nanos now) override;
  void arm(sync::Nanos when);
  void stop_timer();  // detached
  void stop_threads() {  // detached: all but the workers'
    stop_timer();
    if (remote != nullptr) remote->stop_settler();
  }
  void run_later(Future*, sync::Nanos when);  // takes a reference over
  std::vector<Future*> take_delayed();
  void add_cell(RunCell*);
  void remove_cell(RunCell*);
  size_t in_use_by_callers();  // cells of tasks that run in their submitter now
  std::vector<RunCell*> caller_cells();

 private:
  struct Delayed {
    sync::Nanos when;
    Future* future;
    bool operator<(const Delayed& other) const { return when > other.when; }  // the earliest on top
  };

  sync::Nanos submit_delayed(sync::Nanos now);
  sync::Nanos expire(RunCell&, sync::Nanos now);

  Atomic<sync::Nanos> armed_{sync::kForever};  // when on_time will be called at the latest
  sync::Mutex timer_mutex_;                    // guards the next three
  std::shared_ptr<Timer> timer_;
  std::vector<Delayed> delayed_;
  std::vector<RunCell*> cells_;                // of tasks with a deadline that run in their submitter
};

void retain(PoolCore*);
// Not one whose last reference is being dropped right now, as those in State::pools may be. True: retained.
[[nodiscard]] bool retain_unless_dying(PoolCore*);
// The pool at this address, retained, if it still is that pool; else null. Attached.
PoolCore* retain_if_live(State*, const PoolCore* address, uint16_t tag);
void release(PoolCore*);  // attached
std::vector<PoolCore*> live_cores(State*);  // those whose workers may still run, each retained

// Who runs tasks on this thread: what execute() needs to know of it.
struct Executant {
  PoolCore* core;
  RunCell* cell;
  Worker* worker;               // null for a task run in its submitter
  PyObject* base_context;       // entered for the worker's life, kept empty; null: none
  int depth = 0;                // tasks on this stack
  Future* current = nullptr;    // the innermost of them
  bool current_blocks = false;  // it waits in the stdlib's way, see block_until_task_ends
  const sync::ParkWord* sleeper = nullptr;  // see unpark_waiters
};

// Wakes those who sleep on the word of a Future that has just settled, `soon`: a worker that holds the GIL does so when
// it lets go of it or begins the next task, since whoever wakes needs the GIL and would only sleep again for it.
void unpark_waiters(const sync::ParkWord& word, bool soon);
void unpark_deferred(Executant&);

// What this thread is from now on; null: no worker.
void be_worker(Executant*);
// The worker that this thread is, or null. Attached.
Executant* current_worker();

// The pool of an executor of ours; null with TypeError or RuntimeError set.
PoolCore* core_of_handle(PyObject* executor, State*);
bool is_open(PoolCore*);
// Raises why the pool takes no task; returns null.
PyObject* refuse_task(PoolCore*);
// Has the Future run in the context of the caller. False: an exception is set.
bool take_context(Future*, bool always);
// Runs a task in this thread; takes both references of the caller's and the queue's over, returns the former. Null: an
// exception is set, which is the task's own if the Future has settled.
PyObject* run_in_caller(PoolCore*, Future*);
// Queues a Future that waited. `held`: the pool is held open for it and takes it though its gate may be shut. False: an
// exception is set, and the Future is as it was, or has run in here and passes Ctrl-C on.
[[nodiscard]] bool give_to_pool(PoolCore*, Future*, bool held);

// The pool behind an executor of ours, borrowed, if it takes tasks. Null, with an exception set: it takes none, or is no
// executor of ours.
PoolCore* open_pool_of(PyObject* executor, State*);
// Leaves the context that a task ran in; null: the worker's own, which is made anew if the task left something in it.
void leave_context(Executant&, PyObject* own);
// Breaks the pool because a worker's initializer raised `cause` (borrowed), and has it logged.
void fail_initializer(PoolCore*, PyObject* cause);
// A counted Future does not wait any more: room for another.
void leave_queue(Future*);
// Runs a task that waits. False: somebody else has it. Attached; runs arbitrary code.
bool execute(Executant&, Future*);
// Where and when a task was run. `ended` 0: just now.
struct Ran {
  PoolCore* core;
  RunCell* cell;  // of its worker, which may run another one by now
  Nanos ended;
};
// A task that was claimed has run: settles its Future, or has it tried again. Takes `result` and `error` over, of which one
// is null. Attached to the pool's interpreter; runs arbitrary code.
void finish_task(const Ran&, Future*, PyObject* result, PyObject* error, bool interrupted);
// Whether something waits for this thread to look up between two bytecodes: on a build with a GIL that is, above all,
// another thread that has waited for it for the interpreter's switch interval.
inline bool is_asked_to_pause() {
  constexpr uintptr_t kEvents = 0xff;  // the interpreter's _PY_EVAL_EVENTS_BITS; the rest is a version number
  return (_Py_atomic_load_uintptr_relaxed(&PyThreadState_Get()->eval_breaker) & kEvents) != 0;
}
// Raises here what interrupt() asked for; true if there was something.
bool raise_if_interrupted(Executant&);
// The task on this thread will wait, in ways that we do not see, for `future`: make room for a stand-in until it ends.
void block_until_task_ends(Future* future);
// The exception that is set came out of a signal handler that ran in here, and is nobody's business here: it is raised in the
// main thread once that is out of here.
void raise_soon();
// Starts a worker if one may be made. 0: done or not needed; -1: an exception is set.
int start_worker(PoolCore*);
void start_worker_quietly(PoolCore*);
// Whether the exception that start_worker() has set says that no thread can be made; else it came out of a signal handler.
bool cannot_start();
// The error of a task whose time was up; `cause` (taken over) may be null.
// Logs a warning of weft's, with one thing in it (borrowed). Attached.
void warn(const char* message, PyObject* argument);

PyObject* make_timeout_error(Future*, PyObject* name, State*, PyObject* cause, bool stuck);
// Settles everything that is queued: cancelled, or failed with `error` where one is given.
void settle_queued(PoolCore*, PyObject* error);
// Breaks the pool: queued and future tasks fail with `error` (borrowed).
void break_pool(PoolCore*, PyObject* error);

extern PyType_Spec pool_spec;
extern PyType_Spec entry_spec;
extern PyMethodDef pool_functions[];
extern PyModuleDef core_module;

}  // namespace weft::core
