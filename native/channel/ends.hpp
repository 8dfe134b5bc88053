// Makes the two sides of a channel, and says which descriptors a child process needs, in which order.
//
// make_pair() runs in the parent, before the child is started. The child's ends close at exec: whoever starts it lets
// the child inherit them (let_inherit, in a forked child that is about to exec), or sends them over a socket, and
// passes the numbers and the kind along. attach() runs in the child, once. The parent drops its copy of the child's
// ends when the child has them, else it never sees the child's side hang up; and gives the channel a pidfd of the child
// (Channel::watch).
// Pinned by native/tests/test_channel_processes.cpp.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include "channel/channel.hpp"

namespace weft::channel {

enum class ChannelKind : int { shared = 1, pipe = 2 };

// What crosses a fork, an exec, or a socket. Owns nothing. -1: this kind has none of these.
struct ChannelEnds {
  static constexpr size_t kCount = 5;

  ChannelKind kind = ChannelKind::pipe;
  int socket = -1;      // pipe: everything goes through it; shared: it hangs up, and carries the descriptors of blocks
  int process = -1;     // a pidfd of the parent, where the system has them
  int segment = -1;
  int own_event = -1;
  int peer_event = -1;

  std::array<int, kCount> in_order() const { return {socket, process, segment, own_event, peer_event}; }
  static ChannelEnds from_order(ChannelKind kind, const std::array<int, kCount>& numbers) {
    return {kind, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
  }
  // Between fork and exec. Throws std::system_error.
  void let_inherit() const;
};

// The child's ends for as long as the parent has them.
class OwnedEnds {
 public:
  OwnedEnds() = default;
  OwnedEnds(ChannelKind kind, std::array<Descriptor, ChannelEnds::kCount> descriptors);
  ChannelEnds get() const;
  // For a child that is forked and does not exec: attach() takes them over.
  [[nodiscard]] ChannelEnds release();
  void close() { descriptors_ = {}; }

 private:
  ChannelKind kind_ = ChannelKind::pipe;
  std::array<Descriptor, ChannelEnds::kCount> descriptors_;
};

struct ChannelOptions {
  enum class Prefer { best, shared, pipe };
  Prefer prefer = Prefer::best;           // best: shared memory where it is to be had, else a pipe
  size_t ring_size = size_t{256} << 10;   // of each direction; a power of two
  bool spins = true;                      // false where only one core may be used
};

struct ChannelPair {
  std::unique_ptr<Channel> parent;
  OwnedEnds child;
  ChannelKind kind = ChannelKind::pipe;
  // Why it is a pipe although shared memory would have been better; no error otherwise.
  std::error_code no_shared_memory;
  std::string no_shared_memory_because;
};

// Throws std::system_error: with Prefer::best only if there can be no pipe either.
ChannelPair make_pair(const ChannelOptions& options);

// Takes the descriptors over, also if it throws: std::system_error, std::runtime_error if the memory is no channel.
std::unique_ptr<Channel> attach(const ChannelEnds& ends, bool spins);

}  // namespace weft::channel
