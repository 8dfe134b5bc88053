#pragma once

#include "python.hpp"

namespace weft::core {

// Adds build_info() and the like to the module. Throws pybind11::error_already_set.
void bind_introspection(PyObject* module);

}  // namespace weft::core
