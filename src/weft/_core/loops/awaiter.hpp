// One wait of one task for one thing: what `await future` iterates over.
//
// It is three things in one object, so that an await allocates nothing else of ours: the iterator that __await__ gives,
// the thing that it yields to an asyncio task (which treats it as a future of its own make: `_asyncio_future_blocking`,
// add_done_callback, cancel, result), and the callback in the list of the future that is awaited.
//
// States:
//   idle -> waiting          registered with its source; the task sleeps
//   waiting -> delivered     by whoever completes the source, on any thread, which then pushes it into the loop's inbox
//   waiting|delivered -> cancelled   on the loop, by the task's cancel(); a delivery that comes later is dropped
//   delivered -> woken       on the loop, by the drain, which runs the task's step then and there
//   idle -> woken            the source was done already: no turn of the loop is spent
// Only `state` and `next` are touched off the loop's thread; the rest is the loop's own.
//
// Cancelling the task stops what it awaited, unless somebody else awaits that too: a weft Future counts its awaiters
// (`awaiters`), and the last one to be cancelled cancels it if it is queued and interrupts it if it runs.
//
// Ends: delivered or cancelled, it lets go of everything but its source's outcome. One that was cancelled stays in the
// future's list, empty, until that future settles.
// Pinned by tests/aio/test_await.py and test_cancel.py.
#pragma once

#include "future/future.hpp"
#include "loops/inbox.hpp"
#include "python.hpp"

namespace weft::core {

enum class WaitState : uint8_t { idle, waiting, delivered, woken, cancelled };
enum class SourceKind : uint8_t { future, foreign, mailbox };

struct Awaiter {
  PyObject ob_base;
  vectorcallfunc vectorcall;  // deliver: it is the callback of what it waits for
  PyObject* source;           // strong: a Future, somebody else's future, or a Mailbox
  PyObject* inbox;            // strong: an Inbox; null as long as it is idle
  PyObject* callback;         // strong: what wakes the task
  PyObject* context;          // strong: in this contextvars.Context; null: in none
  PyObject* message;          // strong: of the cancellation
  Awaiter* next;              // in an inbox
  Atomic<WaitState> state;
  SourceKind kind;
  char blocking;              // asyncio's flag: it has been yielded, not returned by mistake

  PyObject* object() { return &ob_base; }
};

inline Awaiter* as_awaiter(PyObject* object) { return reinterpret_cast<Awaiter*>(object); }

// What `await` on a source iterates over, under the library that runs here.
PyObject* await_source(PyObject* source, SourceKind, State*);
// The source is complete: on to the loop, unless the wait has been cancelled. Any thread; leaves no exception behind.
void deliver(Awaiter*);
// On the loop: runs the waiting task's next step. False: an exception is set, from that step.
bool wake(Awaiter*);

// One more, one fewer that awaits a future; the latter says whether that was the last.
void begin_await(Future*);
[[nodiscard]] bool end_await(Future*);
// Cancels a future, or interrupts its task if that runs and the future can. False: an exception is set.
bool stop_work(PyObject* future, State*);

extern PyType_Spec awaiter_spec;
extern PyMethodDef await_functions[];

}  // namespace weft::core
