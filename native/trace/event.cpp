#include "trace/event.hpp"

namespace weft::trace {

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::done: return "done";
    case Outcome::failed: return "failed";
    case Outcome::cancelled: return "cancelled";
    case Outcome::timeout: return "timeout";
    case Outcome::retried: return "retried";
    case Outcome::interrupted: return "interrupted";
    case Outcome::abandoned: break;
  }
  return "abandoned";
}

const char* name_of(Flavor flavor) { return flavor == Flavor::threads ? "threads" : "serial"; }

}  // namespace weft::trace
