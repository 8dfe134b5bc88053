// A worker that owns an interpreter with its own GIL, and runs tasks in it on its own thread.
//
// The thread has two thread states: the caller's interpreter's, which it was started with, and the child's. At any moment it is
// attached to one of them at most. Tasks are claimed, run and reported attached to the child alone; the caller's is for
// making and ending the child and for settling reports when there is nothing to run.
//
// Whoever is to interrupt what runs in the child attaches a thread state of its own to it (post_interrupt): a loop in Python gives
// the child's GIL up for that, a call in C does when it returns. So nobody else's thread may wait for it: a thread is made for
// each request, and the child is not ended while one is inside.
//
// Ends when the scheduler tells the worker to leave: the child is ended then, with all that runs in it.
#pragma once

#include "pool/pool.hpp"

namespace weft::core {

// The life of a worker, from its reserved place to its end. Attached to the pool's interpreter. Runs arbitrary code, and sets no
// exception: one that can't be made breaks the pool.
void run_interpreter_worker(PoolCore*, Worker&);

}  // namespace weft::core
