#pragma once

#include "python.hpp"

namespace weft::core {

// build_info() and the like.
extern PyMethodDef introspection_functions[];

}  // namespace weft::core
