// What came from the other process cannot be: a length out of bounds, a position that went backwards, an unknown block.
//
// The other side is broken, or something wrote into memory that was not its own. Nothing more can be read from it:
// every later read says so again. The caller ends that process.
#pragma once

#include <stdexcept>

namespace weft::channel {

class Corrupt final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace weft::channel
