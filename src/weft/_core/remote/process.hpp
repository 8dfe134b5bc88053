// A worker that is a child process: a thread of the pool's that speaks to it over a channel.
//
// The thread takes tasks from the scheduler like any other worker and writes them into the channel; answers become reports
// (remote.hpp). While tasks are short it writes some ahead, so that the process finds the next one when it is done with one: as
// many as are worth some hundred microseconds. The first of them is the one that runs, as far as this side can know: it alone has
// a deadline and can be interrupted; should it take long, those behind it are asked back.
//
// A process that dies fails the task that it ran, and no other: the thread reads what it had still answered, gives the rest back
// to the queue, and has another process made when there is a task for it. Whoever does not react to an interrupt within a second
// is terminated, and a second later killed.
//
// Ends when the scheduler tells the worker to leave, with the process: asked, waited for, terminated, killed; a second each.
#pragma once

#include "pool/pool.hpp"

namespace weft::core {

// The life of a worker, from its reserved place to its end. Attached to the pool's interpreter. Runs arbitrary code, and sets no
// exception: a process that can't be made breaks the pool.
void run_process_worker_thread(PoolCore*, Worker&);

}  // namespace weft::core
