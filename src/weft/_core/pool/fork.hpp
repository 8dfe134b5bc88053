#pragma once

#include "state.hpp"

namespace weft::core {

// Has the C library tell us of forks, from now on.
void watch_forks();
// In a forked child, attached: makes this interpreter's part of the module usable.
void reset_state_after_fork(State*);

}  // namespace weft::core
