#pragma once

#include "python.hpp"

namespace weft::core {

extern PyMethodDef chunk_functions[];

}  // namespace weft::core
