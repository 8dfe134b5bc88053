// Interpreters with a GIL of their own: made, kept ready, entered and ended.
//
// One that is kept ready (a spare) has imported what a worker needs, and no thread has a thread state in it. It knows the caller's
// modules as they could be found when it was made; weft._payloads.starting tells it what has changed when it becomes a worker.
#pragma once

#include "python.hpp"

namespace weft::core {

// Takes the calling thread out of its interpreter and into a new one, with a GIL of its own or with the caller's, that finds modules
// as the caller does. Null, with nothing set and the thread where it was: none could be made.
PyThreadState* enter_new_interpreter(bool own_gil);

// Takes the calling thread out of its interpreter and into one that `spares` gives, or else into a new one that finds modules as
// the caller does. Null, with nothing set and the thread where it was: none could be made.
PyThreadState* enter_own_interpreter(PyObject* spares);

// For weft.executors._spares.
extern PyMethodDef spare_functions[];

}  // namespace weft::core
