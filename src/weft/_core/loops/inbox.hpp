// What has been completed for one event loop, and how the loop is told: once for a whole batch.
//
// Completions come from any thread (mostly workers), each with a thread state attached, and push an Awaiter onto a
// stack. Whoever finds the stack idle posts the inbox itself to the loop, by the loop's own thread-safe call. On the loop
// it is called (drain), takes all there is, and wakes one awaiting task after the other. While a drain is on its way
// nobody else posts: so there is one wake-up for each turn of the loop, not one for each future.
//
// The word `arrived`:
//   null      idle: no drain is on its way; whoever pushes posts one
//   kServed   a drain is on its way or at work, and nothing has arrived since
//   kClosed   the loop has been closed: what arrives is dropped
//   else      the newest of those that have arrived; a drain is on its way
// No wake-up is lost: a drain goes from kServed to null with one CAS, which fails if something has arrived meanwhile.
//
// Ends with its loop, which holds it; holds an asyncio loop only weakly. A loop that was closed early: a WARNING on the
// logger "weft.aio", once, and nothing raised on the worker.
// Pinned by tests/aio/test_loops.py.
#pragma once

#include "python.hpp"
#include "state.hpp"

namespace weft::core {

struct Awaiter;

enum class LoopKind : uint8_t { asyncio, trio };

struct Inbox {
  PyObject ob_base;
  vectorcallfunc vectorcall;   // drain: an inbox is what is posted to the loop
  PyObject* loop;              // strong: a weak reference to an asyncio loop, or a trio token
  Atomic<Awaiter*> arrived;    // owns a reference to each
  Awaiter* taken;              // loop thread only: what a drain has not come to yet, oldest first; owns as well
  LoopKind kind;

  PyObject* object() { return &ob_base; }
};

inline Inbox* as_inbox(PyObject* object) { return reinterpret_cast<Inbox*>(object); }

// The asyncio loop that runs on this thread, new; None if none does; null: an exception is set.
PyObject* running_asyncio_loop(State*);
// The inbox of a running asyncio loop, new.
PyObject* inbox_of(PyObject* loop, State*);
// The loop itself, new; null with RuntimeError set if it is gone.
PyObject* loop_of(Inbox*);
// Any thread; runs arbitrary code (the loop's), leaves no exception behind. The caller holds the awaiter, which holds the inbox.
void push(Inbox*, Awaiter*);

extern PyType_Spec inbox_spec;

}  // namespace weft::core
