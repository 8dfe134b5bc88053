#include "channel/descriptor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <system_error>

#if defined(__linux__)
#include <sys/eventfd.h>
#include <sys/syscall.h>
#endif

namespace weft::channel {

void Descriptor::reset() {
  // Not tried again after EINTR: Linux has let go of it by then, and the number may be somebody else's.
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

void throw_errno(const char* what, int error) { throw std::system_error(error, std::generic_category(), what); }

void close_at_exec(int descriptor, bool closes) {
  const int flags = ::fcntl(descriptor, F_GETFD);
  if (flags < 0 || ::fcntl(descriptor, F_SETFD, closes ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC) != 0) {
    throw_errno("weft: a descriptor of a channel is not open", errno);
  }
}

#if !defined(__linux__)
namespace {

void set_up(int descriptor) {
  close_at_exec(descriptor, true);
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0 || ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) throw_errno("weft: fcntl(O_NONBLOCK)", errno);
}

}  // namespace
#endif

DescriptorPair make_socket_pair(bool packets) {
  int ends[2];
  const int type = packets ? SOCK_SEQPACKET : SOCK_STREAM;
#if defined(__linux__)
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    throw_errno("weft: no sockets to talk to a worker process with", errno);
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
#else
  if (::socketpair(AF_UNIX, type, 0, ends) != 0) {
    throw_errno("weft: no sockets to talk to a worker process with", errno);
  }
  DescriptorPair pair{Descriptor(ends[0]), Descriptor(ends[1])};
  for (const int end : ends) {
    set_up(end);
#if defined(SO_NOSIGPIPE)
    const int on = 1;
    if (::setsockopt(end, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) != 0) throw_errno("weft: SO_NOSIGPIPE", errno);
#endif
  }
  return pair;
#endif
}

DescriptorPair make_pipe() {
  int ends[2];
#if defined(__linux__)
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw_errno("weft: no pipe to wake a waiter with", errno);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
#else
  if (::pipe(ends) != 0) throw_errno("weft: no pipe to wake a waiter with", errno);
  DescriptorPair pair{Descriptor(ends[0]), Descriptor(ends[1])};
  for (const int end : ends) set_up(end);
  return pair;
#endif
}

#if defined(__linux__)

Descriptor make_event() {
  Descriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) throw_errno("weft: no eventfd to wake a worker process with", errno);
  return event;
}

void signal_event(int event) {
  // EAGAIN would mean that the counter is full: it is readable then, which is all that was wanted.
  const uint64_t one = 1;
  (void)!::write(event, &one, sizeof one);
}

void clear_event(int event) {
  uint64_t count;
  (void)!::read(event, &count, sizeof count);
}

Descriptor open_pidfd(pid_t pid) {
#if defined(SYS_pidfd_open)
  Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // closes at exec by itself
  if (!process) throw_errno("weft: no pidfd of a process", errno);
  return process;
#else
  (void)pid;
  throw_errno("weft: no pidfd of a process", ENOSYS);
#endif
}

#else

Descriptor make_event() { throw_errno("weft: eventfd", ENOTSUP); }
void signal_event(int) {}
void clear_event(int) {}
Descriptor open_pidfd(pid_t) { throw_errno("weft: pidfd", ENOTSUP); }

#endif

int send_descriptor(int socket, int descriptor, std::span<const std::byte> beside) {
#if defined(__linux__)
  // SAFETY: sendmsg only reads what the pointer without const points at.
  iovec bytes{const_cast<std::byte*>(beside.data()), beside.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  ssize_t sent;
  do {
    sent = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
#else
  (void)socket, (void)descriptor, (void)beside;
  return ENOTSUP;
#endif
}

std::optional<Descriptor> receive_descriptor(int socket, std::span<std::byte> beside) {
#if defined(__linux__)
  iovec bytes{beside.data(), beside.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got;
  // ECONNRESET comes once, ahead of what still lies in the socket: the other side went without having read everything.
  bool reset = false;
  do {
    got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(reset, true))));
  if (got <= 0) return std::nullopt;  // nothing there, or nobody there any more
  Descriptor descriptor;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    if (header->cmsg_len != CMSG_LEN(sizeof(int))) continue;
    int number;
    std::memcpy(&number, CMSG_DATA(header), sizeof number);
    descriptor = Descriptor(number);
  }
  if (!descriptor) throw_errno("weft: a descriptor was sent, but this process has too many open", EMFILE);
  if (static_cast<size_t>(got) != beside.size()) throw_errno("weft: a descriptor came without its name", EPROTO);
  return descriptor;
#else
  (void)socket, (void)beside;
  return std::nullopt;
#endif
}

Polled poll_until(std::span<pollfd> descriptors, sync::Nanos deadline) {
  for (;;) {
    const sync::Nanos left = deadline == sync::kForever ? 0 : std::max<sync::Nanos>(deadline - sync::now(), 0);
#if defined(__linux__)
    const timespec time{static_cast<time_t>(left / sync::kSecond), static_cast<long>(left % sync::kSecond)};
    const int found =
        ::ppoll(descriptors.data(), descriptors.size(), deadline == sync::kForever ? nullptr : &time, nullptr);
#else
    // Rounded up: rounded down, the last millisecond would be spent spinning through here.
    const sync::Nanos milliseconds = std::min<sync::Nanos>((left + 999'999) / sync::kMillisecond, INT_MAX);
    const int found = ::poll(descriptors.data(), static_cast<nfds_t>(descriptors.size()),
                             deadline == sync::kForever ? -1 : static_cast<int>(milliseconds));
#endif
    if (found > 0) return Polled::something;
    if (found == 0) {
      if (deadline != sync::kForever && sync::now() >= deadline) return Polled::timed_out;
      continue;  // the clock of the kernel and ours differ by a little, or the time did not fit
    }
    if (errno == EINTR) return Polled::interrupted;
    if (errno != EAGAIN && errno != ENOMEM) throw_errno("weft: poll", errno);
  }
}

}  // namespace weft::channel
