// File descriptors: owned, made, passed on, and waited for.
//
// Each one that is made here closes at exec; who starts a child says which ones it inherits. What only Linux has
// (eventfd, pidfd, descriptors that arrive closed at exec) throws std::system_error with ENOTSUP elsewhere, so that
// callers need no #if: they fall back as they would on a kernel that forbids it.
// Pinned by native/tests/test_segment.cpp, and by whatever counts descriptors there.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include "sync/clock.hpp"

struct pollfd;

namespace weft::channel {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = other.release();
    }
    return *this;
  }

  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(number_, -1); }
  void reset();

 private:
  int number_ = -1;
};

// errno as an exception: `what` is what failed, in words.
[[noreturn]] void throw_errno(const char* what, int error);

struct DescriptorPair {
  Descriptor first;
  Descriptor second;
};

// Both ends non-blocking, neither raises SIGPIPE. `packets`: keeps the bounds of what is sent.
DescriptorPair make_socket_pair(bool packets);
DescriptorPair make_pipe();  // first: the end to read from; non-blocking

Descriptor make_event();            // an eventfd, non-blocking
void signal_event(int event);       // makes it readable
void clear_event(int event);        // until the next signal
Descriptor open_pidfd(pid_t pid);   // readable when that process has ended
void close_at_exec(int descriptor, bool closes);

// A descriptor over a Unix socket that keeps packets, with a few bytes beside it. Neither waits.
// 0 or errno: EAGAIN when the socket is full, ETOOMANYREFS when too many are under way.
[[nodiscard]] int send_descriptor(int socket, int descriptor, std::span<const std::byte> beside);
// Nothing if none is there. Throws std::system_error if one came but this process may have no more (EMFILE).
std::optional<Descriptor> receive_descriptor(int socket, std::span<std::byte> beside);

enum class Polled { something, timed_out, interrupted };
// poll() until a time of the monotonic clock. A signal handler that ran ends it.
Polled poll_until(std::span<pollfd> descriptors, sync::Nanos deadline);

}  // namespace weft::channel
