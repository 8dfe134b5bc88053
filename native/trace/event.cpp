#include "trace/event.hpp"

namespace weft::trace {

std::string_view name_of(Outcome outcome) {
  constexpr std::string_view names[] = {"done", "failed", "cancelled", "timeout", "retried", "interrupted", "abandoned"};
  return names[static_cast<size_t>(outcome)];
}

std::string_view name_of(Flavor flavor) { return flavor == Flavor::threads ? "threads" : "serial"; }

}  // namespace weft::trace
