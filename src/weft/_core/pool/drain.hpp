#pragma once

#include "python.hpp"

namespace weft::core {

extern PyType_Spec drain_spec;

}  // namespace weft::core
