#include "channel/doorbell.hpp"

#include <poll.h>

namespace weft::channel {

Doorbell::Slept Doorbell::sleep(const Watched& watched, sync::Nanos deadline) {
  // Of the socket only the hang-up is asked for, which needs no asking: descriptors may lie in it for long. A negative
  // descriptor is passed over by poll.
  std::array<pollfd, 3> polled{{{event_, POLLIN, 0}, {watched.process, POLLIN, 0}, {watched.socket, 0, 0}}};
  switch (poll_until(polled, deadline)) {
    case Polled::timed_out:
      return Slept::timed_out;
    case Polled::interrupted:
      return Slept::interrupted;
    case Polled::something:
      break;
  }
  if (polled[0].revents != 0) {
    clear_event(event_);
    return Slept::rung;
  }
  return Slept::peer_gone;
}

}  // namespace weft::channel
