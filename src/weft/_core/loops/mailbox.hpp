// Many futures, one waiting task: each that is done puts itself into the mailbox, and the task is woken once.
//
// What await_all, as_completed and map of weft.aio are made of. watch(future) is called on the loop's thread, as wait(),
// take() and close() are; completions arrive from any thread. The fields are guarded by the object's critical section,
// which is nothing where there is a GIL: no Python code runs inside.
// Ends: close(), after which arrivals are dropped; or with the last future that holds it as its callback.
// Pinned by tests/aio/test_many.py.
#pragma once

#include "loops/awaiter.hpp"

namespace weft::core {

struct Mailbox {
  PyObject ob_base;
  vectorcallfunc vectorcall;  // arrive: it is the callback of what it watches
  PyObject* arrived;          // strong: a list
  Awaiter* waiter;            // strong; woken when `needed` have arrived, or a failure
  Py_ssize_t needed;
  bool fail_fast;             // a failure is enough
  bool failed;                // one has arrived
  bool closed;
};

inline Mailbox* as_mailbox(PyObject* object) { return reinterpret_cast<Mailbox*>(object); }

// True: nothing to wait for. False: `awaiter` will be delivered.
bool wait_for_mail(Mailbox*, Awaiter*);
void stop_waiting_for_mail(Mailbox*, Awaiter*);

extern PyType_Spec mailbox_spec;

}  // namespace weft::core
