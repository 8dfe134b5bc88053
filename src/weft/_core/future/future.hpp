// The Future: one task from submit to result, and a real concurrent.futures.Future.
//
// Its base class is the stdlib's; the base __init__ never runs. State, result and callbacks live in this struct, and
// the private attributes that the stdlib's wait() and as_completed() read are made real when first touched
// (future_stdlib.cpp). A Future that nobody waits on in the stdlib's way never pays for a Condition.
//
// The word. Low three bits: the state. Above them flags: kReal and, within one try, kTimedOut only ever get set; the others
// come and go.
//   pending -> running     by whoever runs it (a worker, or a waiting worker that helps), with one CAS
//   pending -> cancelled   by whoever cancels, with one CAS; also settles it
//   running -> pending     by its runner, for a retry
//   running -> done|failed by its runner; or by the timer, which must have taken it through the run cell
//   running -> cancelled   by whoever passes an input's cancellation on (compose.hpp)
// The winner of a CAS away from pending owns `call` (function and arguments) and releases it. Only the one who settles
// writes `outcome`, before the CAS that publishes it; readers load the word with acquire first.
// Once `kReal` is set every settling CAS is made under the stdlib condition's lock: so a thread that holds that lock
// sees a state that does not change, which is all that wait() and as_completed() rely on.
//
// Garbage collection: a Future that is queued or running is referenced by its queue or worker, a root, so it need not
// be tracked; it becomes tracked when it settles with something that can be part of a cycle, or when it gets attributes.
// (Tracking each one from birth halves the rate of submit with a GIL. Free-threaded builds count on it: fill_call.)
//
// Thread safety: every field is either atomic, or owned as said above, with the GIL and without.
#pragma once

#include "future/options.hpp"
#include "python.hpp"
#include "scheduler/run_cell.hpp"
#include "state.hpp"
#include "sync/parking.hpp"

namespace weft::core {

enum class TaskState : uint32_t { pending = 0, running = 1, cancelled = 2, done = 3, failed = 4 };

namespace word {
inline constexpr uint32_t kStateMask = 7;
inline constexpr uint32_t kReal = 8;       // the stdlib's condition exists
inline constexpr uint32_t kParked = 16;    // somebody sleeps on the word
inline constexpr uint32_t kTimedOut = 32;  // its time was up while it ran
inline constexpr uint32_t kWaits = 64;     // in no queue: its inputs have not settled, or it is deferred
inline constexpr uint32_t kDeferred = 128; // nobody has asked for it yet
inline constexpr uint32_t kSwept = 256;    // somebody sorts its callbacks, see sweep_continuations

inline TaskState state(uint32_t value) { return static_cast<TaskState>(value & kStateMask); }
inline bool settled(uint32_t value) { return (value & kStateMask) >= static_cast<uint32_t>(TaskState::cancelled); }
inline uint32_t with(uint32_t value, TaskState state) { return (value & ~kStateMask) | static_cast<uint32_t>(state); }
}  // namespace word

// What waits for the Future; a stack, newest first, closed by `kClosedCallbacks` when it settles.
struct CallbackNode {
  CallbackNode* next;
  PyObject* callable;  // strong: a function to call, or a Future whose input this is
};
// SAFETY: a mark that is compared and never followed; no node has an odd address.
inline CallbackNode* const kClosedCallbacks = reinterpret_cast<CallbackNode*>(uintptr_t{1});

// How a Future depends on others, see compose.hpp. `kind`, `holds` and `sure` are constant once it is known to others.
struct Join {
  enum Kind : uint8_t { none, then, flow, all, any, mirror, deferred };
  Kind kind = none;
  bool holds = false;               // its pool is held open for it
  bool sure = false;                // nothing that it waits for can fail to settle
  Atomic<uint32_t> left{0};         // inputs that have not settled, and one while it is being made
  Atomic<PoolCore*> pool{nullptr};  // counted: where it will run; whoever takes it out launches or gives it back
};

// What few Futures need. Made on demand, published with a CAS, freed with the Future.
struct Extras {
  Atomic<PyObject*> condition{nullptr};  // strong: the stdlib's threading.Condition
  Atomic<PyObject*> waiters{nullptr};    // strong: the stdlib's list of waiters
  Atomic<PyObject*> interrupt{nullptr};  // strong: the exception class that was asked for
  Atomic<Nanos> started{0};              // when the run began that is to time out
  uint32_t attempts = 0;                 // retries so far; its runner only
  Join join;
};

// What tracing remembers of a task. Apart, and small: tracing pays for each cache line. Made before the task is queued; from
// then on its runner's, but for reading.
struct Traced {
  PyObject* name;  // strong: a str
  uint32_t session;
  uint32_t pool;   // its number in the trace
  Nanos submitted;
  Atomic<Nanos> began;
};

inline constexpr size_t kInlineArgs = 3;

// What to call. Owned by whoever takes the Future out of `pending`; empty once it has run.
struct Call {
  PyObject* callable;  // strong
  PyObject* kwnames;   // strong tuple of str, or null
  union {
    PyObject* few[kInlineArgs];
    PyObject** many;
  };

  PyObject** args(size_t count) { return count <= kInlineArgs ? few : many; }
};

struct Future {
  PyObject ob_base;
  Task link;
  sync::ParkWord word;
  uint16_t arg_count;   // positional and keyword values together
  uint16_t keywords;
  uint32_t generation;  // fork_generation when made
  bool counted;         // its pool has a max_pending: it keeps the pool, and counts in it as long as it waits
  Atomic<bool> waits;   // still to be counted down
  uint16_t pool_tag;    // with `pool`: an address may come back, both hardly ever do
  Atomic<uint16_t> awaiters;  // tasks of event loops that await it, see awaiter.hpp; meaningless once it is settled
  Call call;
  PyObject* outcome;                   // strong: the result, or the exception
  Atomic<CallbackNode*> callbacks;
  PyObject* context;                   // strong contextvars.Context to run in, or null: an empty one
  TaskOptions* options;                // strong, or null
  Atomic<Extras*> extras;
  Atomic<RunCell*> cell;               // where it runs, while it runs
  PoolCore* pool;                      // which pool it was given to: compared, and followed only if `counted`
  Traced* traced;                      // see trace.hpp; null: it is not; constant once it is queued

  PyObject* object() { return &ob_base; }
  TaskState state() const { return word::state(word.load(sync::acquire)); }
  bool settled() const { return word::settled(word.load(sync::acquire)); }
};

// When the callbacks of a Future run that settles: before settle returns; or, if this thread is about to run callbacks
// already, after those: for what settles because its input did, so that a chain of any length takes no stack.
enum class Callbacks { now, in_turn };

Future* future_of(Task& task);
// SAFETY: only for objects whose type has been looked at, or which are called by their type's slots.
inline Future* as_future(PyObject* object) { return reinterpret_cast<Future*>(object); }

// A pending Future with an empty call, referenced twice: by the caller and by the queue it will go to.
Future* new_future(State*);
// Fills in what to call, from a vectorcall that starts with the function. False: out of memory.
bool fill_call(Future*, PyObject* const* args, size_t positional, PyObject* kwnames);
void release_call(Future*);
void track(Future*);
// Has `target` told when the Future settles: at once, if it has. False: an exception is set. Runs arbitrary code.
[[nodiscard]] bool add_continuation(Future*, Future* target);
// Forgets the continuations that have settled without this Future: what many when_any leave on one that is never done.
void sweep_continuations(Future*);
Extras* extras_of(Future*);  // null, with MemoryError set

// pending -> running. False: somebody else has it, or it is cancelled.
[[nodiscard]] bool transition_to_running(Future*);
// running -> pending, for a retry.
void transition_to_pending(Future*);
// -> done, failed or cancelled, from `from`; takes `outcome` over if it succeeds. Wakes waiters, runs callbacks.
// Returns 1; 0 if the state was not `from` any more; -1 with an exception set (a signal, while waiting for the
// stdlib's lock), nothing changed. Runs arbitrary code.
[[nodiscard]] int transition_to_settled(Future*, TaskState from, TaskState to, PyObject* outcome,
                                        Callbacks when = Callbacks::now);
// The runner's form: it cannot fail, since a task that has run must settle.
void settle(Future*, TaskState to, PyObject* outcome, Callbacks when = Callbacks::now);

// While user code runs inside of a continuation, it has its callbacks at once.
struct Cascade;
Cascade* pause_cascade();
void resume_cascade(Cascade*);
// Has `callable` called when the Future is done. 1: it will be; 0: it is done, nothing has been added; -1: an exception
// is set.
int add_callback(Future*, PyObject* callable);

// In future_stdlib.cpp: what the stdlib's own functions expect of a Future.
extern PyGetSetDef stdlib_getset[];
[[nodiscard]] bool lock_condition(Future*, State*);
void notify_and_unlock_condition(Future*, State*, TaskState);

// In wait.cpp. 0: settled; 1: the deadline passed; -1: an exception is set.
int wait_until_settled(Future*, Nanos deadline);
// wait_in_place(future), blocking(fn, *args): see pool.cpp's table of functions.
PyObject* wait_in_place(PyObject* module, PyObject* future);
PyObject* blocking(PyObject* module, PyObject* const* args, Py_ssize_t count);
// True, with PoolForked set: this is a forked child, where the Future will never settle. For one that has not settled.
bool refuse_if_forked(Future*);

// In execute.cpp. 1: asked; 0: it is not running; -1: an exception is set.
int interrupt_task(Future*, PyObject* exception_class);

// A task's name for messages: from its options, or the function's qualified name. Never null.
PyObject* task_name(TaskOptions* options, PyObject* callable, State*);

extern PyType_Spec future_spec;

}  // namespace weft::core
