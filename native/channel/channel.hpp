// A channel between a parent process and one worker process: messages both ways, whole and in order.
//
// One object on each side, and one thread at a time uses it; only wake() may be called by others. Two kinds behind one
// interface: SharedChannel (rings in shared memory) and PipeChannel (a socket), which ends.hpp chooses from.
//
// Sending: try_send() until it says false, then flush(). false: there is no room, or nobody to read. wait() tells
// which; then the same message again. A message up to most_at_once() is taken whole or not at all. A longer one may be
// half way when try_send() says false, and then no other may come before it: is_sending() says so, and another size is
// std::logic_error. What try_send() took is on its way after flush(); wait() flushes.
// Reading: peek() shows the oldest message in place until release(). Both throw Corrupt if the other side is broken,
// and std::bad_alloc for a message that does not fit into memory.
//
// Ends: a process that dies, at any instruction, leaves the other with every message that it had sent whole, and then
// peer_gone. Destroying a channel says nothing to the other side but that. After os.fork() the forked process
// destroys its copy, or leaves it alone; it must not use it.
// Two sides that both wait for room alone wait for ever: wait for `either`, and read.
// Pinned by native/tests/test_channel.cpp and test_channel_processes.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "channel/corrupt.hpp"
#include "channel/descriptor.hpp"
#include "channel/pieces.hpp"

namespace weft::channel {

// What to wait for.
enum class What : uint32_t {
  message = 1,
  room = 2,  // for the message for which try_send() has last said false, or for what flush() left behind
  either = 3,
};

constexpr bool wants(What what, What one) { return (static_cast<uint32_t>(what) & static_cast<uint32_t>(one)) != 0; }

enum class Waited {
  ready,        // what was waited for is there
  peer_gone,    // it is not, and never will be
  timed_out,
  interrupted,  // a signal handler ran, or wake() was called
};

class Channel {
 public:
  // A message may have 64 TiB: a length beyond that is an error of the other side, not a message.
  static constexpr uint64_t kMostMessage = uint64_t{1} << 46;

  Channel() = default;
  virtual ~Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] virtual bool try_send(std::span<const Piece> pieces) = 0;
  virtual bool is_sending() const = 0;
  virtual size_t most_at_once() const = 0;
  // Wakes the other side if it sleeps. false: some is still in this process; wait for room, which moves it on.
  virtual bool flush() = 0;

  [[nodiscard]] virtual std::optional<std::span<const std::byte>> peek() = 0;
  virtual void release() = 0;

  // Spins for some microseconds where that has lately been worth it, then sleeps.
  [[nodiscard]] virtual Waited wait(What what, sync::Nanos deadline) = 0;
  // Ends the wait that is under way, or the next one that would have to wait. From any thread of this process.
  virtual void wake() = 0;

  // A pidfd of the other process, once it has been started: it tells a death also when the dead process's own children
  // have inherited its descriptors.
  virtual void watch(Descriptor process) = 0;
  // Where blocks.hpp sends its descriptors; -1 if this channel has no shared memory. Stays the channel's.
  virtual int block_socket() const = 0;
};

}  // namespace weft::channel
