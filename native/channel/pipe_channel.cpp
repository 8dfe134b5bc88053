#include "channel/pipe_channel.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>

namespace weft::channel {

namespace {

#if defined(MSG_NOSIGNAL)
constexpr int kNoSignal = MSG_NOSIGNAL;
#else
constexpr int kNoSignal = 0;  // the socket itself was told so when it was made
#endif

bool would_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM; }

}  // namespace

PipeChannel::PipeChannel(Descriptor socket, Descriptor process, bool spins)
    : socket_(std::move(socket)), process_(std::move(process)), waker_(make_pipe()), spins_(spins) {}

// ---- sending ------------------------------------------------------------------------------------------------------

// From byte `offset` of the pieces on, as much as the socket takes now: how much that was.
size_t PipeChannel::write_some(std::span<const Piece> pieces, size_t offset) {
  size_t wrote = 0;
  while (!broken_) {
    std::array<iovec, 64> vectors;
    size_t used = 0;
    size_t skipped = offset + wrote;
    for (const Piece& piece : pieces) {
      if (used == vectors.size()) break;
      if (skipped >= piece.size()) {
        skipped -= piece.size();
        continue;
      }
      // SAFETY: sendmsg only reads through it.
      vectors[used++] = {const_cast<std::byte*>(piece.data()) + skipped, piece.size() - skipped};
      skipped = 0;
    }
    if (used == 0) break;
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(used);
    const ssize_t sent = ::sendmsg(socket_.get(), &message, kNoSignal);
    if (sent >= 0) {
      wrote += static_cast<size_t>(sent);
    } else if (would_wait(errno)) {
      break;
    } else if (errno != EINTR) {
      broken_ = true;
    }
  }
  return wrote;
}

bool PipeChannel::flush() {
  if (gathered_ > written_) {
    const Piece rest{out_.data() + written_, gathered_ - written_};
    written_ += write_some({&rest, 1}, 0);
  }
  if (gathered_ == written_) gathered_ = written_ = 0;
  return gathered_ == 0;
}

bool PipeChannel::try_send(std::span<const Piece> pieces) {
  const size_t total = size_of(pieces);
  if (sent_ > 0 || total > most_at_once()) return try_send_long(pieces, total);
  lacks_ = kPrefix + total;
  lacks_socket_ = false;
  if (!has_room()) flush();
  if (!has_room()) return false;
  if (written_ > 0 && gathered_ + lacks_ > kMostGathered) {
    std::memmove(out_.data(), out_.data() + written_, gathered_ - written_);
    gathered_ -= std::exchange(written_, 0);
  }
  out_.grow(kMostGathered, kMostGathered);
  const uint64_t announced = total;
  std::memcpy(out_.data() + gathered_, &announced, kPrefix);
  copy_pieces(pieces, 0, {out_.data() + gathered_ + kPrefix, total});
  gathered_ += std::exchange(lacks_, 0);
  return true;
}

bool PipeChannel::try_send_long(std::span<const Piece> pieces, size_t total) {
  if (sent_ > 0 && total != total_) throw std::logic_error("weft: another message while a long one is half way");
  if (total > kMostMessage) throw std::length_error("weft: a message of more than 64 TiB");
  total_ = total;
  lacks_ = 0;
  lacks_socket_ = true;
  if (!flush()) return false;
  const uint64_t announced = total;
  if (sent_ < kPrefix) {
    // SAFETY: an object may be looked at as bytes.
    const Piece prefix{reinterpret_cast<const std::byte*>(&announced), kPrefix};
    sent_ += write_some({&prefix, 1}, sent_);
  }
  if (sent_ >= kPrefix) sent_ += write_some(pieces, sent_ - kPrefix);
  if (sent_ < kPrefix + total) return false;
  lacks_socket_ = false;
  sent_ = 0;
  return true;
}

// ---- reading ------------------------------------------------------------------------------------------------------

// True if something came.
bool PipeChannel::read_some() {
  size_t expected = kLeastRead;  // of the message that begins at read_
  if (filled_ - read_ >= kPrefix) {
    uint64_t size;
    std::memcpy(&size, in_.data() + read_, kPrefix);
    expected = kPrefix + static_cast<size_t>(size);
  }
  if (read_ > 0 && (read_ == filled_ || in_.capacity() - read_ < std::max(expected, kLeastRead))) {
    std::memmove(in_.data(), in_.data() + read_, filled_ - read_);
    filled_ -= std::exchange(read_, 0);
  }
  if (filled_ == in_.capacity() || in_.capacity() == 0) in_.grow(filled_ + kLeastRead, std::max(expected, kLeastRead));
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), in_.data() + filled_, in_.capacity() - filled_, 0);
    if (got > 0) {
      filled_ += static_cast<size_t>(got);
      return true;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && would_wait(errno)) return false;
    closed_ = true;  // its end, or ECONNRESET: it went without having read what we sent
    return false;
  }
}

std::optional<std::span<const std::byte>> PipeChannel::peek() {
  if (corrupt_ != nullptr) throw Corrupt(corrupt_);
  for (;;) {
    if (filled_ - read_ >= kPrefix) {
      uint64_t size;
      std::memcpy(&size, in_.data() + read_, kPrefix);
      if (size > kMostMessage) throw Corrupt(corrupt_ = "weft: a message of an impossible size came through a socket");
      if (filled_ - read_ - kPrefix >= size) return Piece{in_.data() + read_ + kPrefix, static_cast<size_t>(size)};
    }
    if (closed_ || !read_some()) return std::nullopt;
  }
}

void PipeChannel::release() {
  const std::optional<Piece> message = peek();
  if (!message) throw std::logic_error("weft: release() without peek()");
  read_ += kPrefix + message->size();
  if (read_ < filled_) return;
  read_ = filled_ = 0;
  if (in_.capacity() > kKept) in_.shrink_to_none();
}

// ---- waiting ------------------------------------------------------------------------------------------------------

bool PipeChannel::has_room() const {
  return lacks_ == 0 ? gathered_ == written_ : gathered_ - written_ + lacks_ <= kMostGathered;
}

bool PipeChannel::is_ready(What what) {
  if (wants(what, What::message) && peek()) return true;
  if (!wants(what, What::room)) return false;
  flush();
  if (broken_ || !has_room()) return false;
  if (!lacks_socket_) return true;
  pollfd socket{socket_.get(), POLLOUT, 0};
  return poll_until({&socket, 1}, 0) == Polled::something && (socket.revents & POLLOUT) != 0;
}

// Whether wake() was called; empties the pipe, in which a byte may also be left from a call that was answered before.
bool PipeChannel::take_wake() {
  std::array<std::byte, 64> dropped;
  while (::read(waker_.first.get(), dropped.data(), dropped.size()) < 0 && errno == EINTR) {
  }
  return woken_.exchange(0, sync::seq_cst) != 0;
}

Waited PipeChannel::wait(What what, sync::Nanos deadline) {
  flush();
  if (is_ready(what)) return Waited::ready;
  if (spins_ && !gone_ && deadline > sync::now()) {
    (void)budget_.spin([&] { return is_ready(what) || closed_ || woken_.load(sync::seq_cst) != 0; });
  }
  for (;;) {
    if (is_ready(what)) return Waited::ready;
    if (woken_.load(sync::seq_cst) != 0 && take_wake()) return Waited::interrupted;
    gone_ = gone_ || closed_ || broken_;
    if (gone_) return Waited::peer_gone;
    // Room is polled for only where there is something to be written: else poll would return at once, again and again.
    const bool writes = gathered_ > written_ || (wants(what, What::room) && lacks_socket_);
    const auto events = static_cast<short>((wants(what, What::message) ? POLLIN : 0) | (writes ? POLLOUT : 0));
    std::array<pollfd, 3> polled{
        {{socket_.get(), events, 0}, {waker_.first.get(), POLLIN, 0}, {process_.get(), POLLIN, 0}}};
    switch (poll_until(polled, deadline)) {
      case Polled::timed_out:
        return Waited::timed_out;
      case Polled::interrupted:
        return Waited::interrupted;
      case Polled::something:
        break;
    }
    flush();
    if (polled[1].revents != 0 && take_wake()) return Waited::interrupted;
    // What was sent before the end is still in the socket, and is looked at first.
    if ((polled[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0 || polled[2].revents != 0) gone_ = true;
  }
}

void PipeChannel::wake() {
  if (woken_.exchange(1, sync::seq_cst) != 0) return;  // not answered yet
  const std::byte any{1};
  while (::write(waker_.second.get(), &any, 1) < 0 && errno == EINTR) {
  }
}

}  // namespace weft::channel
