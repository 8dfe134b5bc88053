#include "trace/event.hpp"

namespace weft::trace {

std::string_view name_of(Outcome outcome) {
  constexpr std::string_view names[] = {"done", "failed", "cancelled", "timeout", "retried", "interrupted", "abandoned"};
  return names[static_cast<size_t>(outcome)];
}

std::string_view name_of(Flavor flavor) {
  static constexpr std::string_view kNames[] = {"threads", "serial", "interpreters", "processes"};
  return kNames[static_cast<size_t>(flavor)];
}

}  // namespace weft::trace
