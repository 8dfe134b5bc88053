// Interpreters for actors: made ahead, lived in by one thread, interrupted from outside. See actor_interpreter.cpp.
#pragma once

#include "python.hpp"

namespace weft::core {

// For weft.actors.
extern PyMethodDef actor_functions[];

}  // namespace weft::core
