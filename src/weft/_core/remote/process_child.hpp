// The worker's side of a process: runs what comes over the channel until that ends.
#pragma once

#include "python.hpp"

namespace weft::core {

// With the kind of the channel: answers are to say how much memory the process has.
inline constexpr int kMeasure = 0x100;

// run_process_worker, for the process that weft.executors._template has forked.
extern PyMethodDef process_functions[];

}  // namespace weft::core
