// Futures made of other futures: then, when_all, when_any, dataflow, and mirrors of the stdlib's futures.
//
// Such a Future is one object and no more: it holds its inputs as the arguments of its call, and each input that has
// not settled holds it in its stack of callbacks. While `kWaits` is in its word it is in no queue and nobody may run it.
// When the input that counts has settled, on whichever thread that happens, it is launched (then, dataflow: into its
// pool's queue) or settles right there (when_all, when_any, and whatever an input's failure skips).
//
//   waits -> pending in a queue   `launch`, by whoever takes `Join::pool` out
//   waits -> running -> settled   `claim`, as any runner: the CAS away from pending makes the call its own
//   waits -> cancelled            cancel(); what its inputs do later finds nothing to do
//
// A pool drains only when nothing is held back (Scheduler::hold): a Future whose inputs are all sure to settle, since pools
// of ours run them, holds its pool open. Inputs from elsewhere may never settle, so what waits for them does not.
//
// No recursion: a settled Future's callbacks run from a queue of the thread's (future.cpp, run_callbacks).
// Pinned by tests/futures/test_compose.py and test_races_compose.py.
#pragma once

#include "future/future.hpp"

namespace weft::core {

// An input of `target` has settled. Attached; runs arbitrary code.
void input_settled(Future* target, Future* input);
// It will not be run by way of its inputs: gives back what it held of its pool. Any number of times.
void leave_join(Extras*);
// A deferred task (WEFT_ASYNC_MODE) begins: here and now, or on its pool. For others nothing happens.
// False: an exception is set.
[[nodiscard]] bool run_deferred(Future*);
[[nodiscard]] bool start_deferred(Future*);

PyObject* future_then(PyObject* self, PyObject* fn);
PyObject* future_share(PyObject* self, PyObject*);

extern PyMethodDef compose_functions[];
extern PyType_Spec gather_spec;

}  // namespace weft::core
