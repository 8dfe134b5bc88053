// Tracing: what the hooks in submit() and execute() do while it is on.
//
// A task is traced if tracing was on when it was submitted, and only as long as that same trace goes on. So there is one
// place that asks whether it is on (trace_submitted: one relaxed load, invariant 8); all others look at
// Future::traced, which they have at hand, and which holds what tracing has to remember of the task. The thread that
// drains never sees a Python object.
//
// Each interpreter traces for itself. All of these are called attached. Pinned by tests/debug/.
#pragma once

#include "pool/pool.hpp"
#include "trace/event.hpp"

namespace weft::core {

// In submit(), before anybody else can know of the Future.
void begin_trace(Future*, PoolCore*, uint32_t session);
inline void trace_submitted(Future* future, PoolCore* core) {
  const uint32_t session = core->state->trace_session.load(sync::relaxed);
  if (session != 0) [[unlikely]] begin_trace(future, core, session);
}

// The rest is for Futures that are `traced`.

void trace_started(Executant&, Future*);
// Before the Future settles or becomes pending again: whoever sees the one finds the other in the trace.
void trace_ended(const Ran&, Future*, trace::Outcome);
// What a task that has raised `error` for the last time is called.
trace::Outcome outcome_of_failure(Future*, PyObject* error, bool interrupted, State*);
// It was given up on the thread of this cell, by somebody else.
void trace_abandoned(Future*, RunCell&, State*);
// The Future goes.
void end_traced(Future*);
// It has settled without having run.
void trace_unrun(Future*, trace::Outcome, State*);

// A task's name for people: its options' name; the function's qualified name, looked for behind functools.partial and
// behind what map() submits; else its type's. New reference, never null; raises nothing. May run Python code.
PyObject* readable_name(State*, TaskOptions*, PyObject* callable, PyObject* first_argument);

// Whether tasks of this function are named after what it is given first: it is what map() submits.
bool names_first_argument(State*, PyObject* callable);
// What a task that has not ended is given first, or what of it there still is; borrowed, or null.
PyObject* first_argument(PoolCore*, Future*);

// The interpreter is gone; the drainer writes what it has, and leaves. Not attached.
void end_trace(State*);

// trace_start, trace_stop and others, for weft.debug.
extern PyMethodDef trace_functions[];
// running_tasks, thread_stacks, worker_index, for weft.debug (running.cpp).
extern PyMethodDef running_functions[];

}  // namespace weft::core
