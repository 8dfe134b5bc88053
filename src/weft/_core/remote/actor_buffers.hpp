// Buffers beside the messages of an actor's channel, see actor_buffers.cpp.
#pragma once

#include "python.hpp"

namespace weft::core {

extern PyMethodDef buffer_functions[];

// In a forked child: nobody lends anything.
void reset_lendings_after_fork();

}  // namespace weft::core
