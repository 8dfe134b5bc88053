// A channel through shared memory: a ring for each direction and a doorbell for each side, in one segment.
//
// While both sides are busy it makes no system call. See channel.hpp for what may be called when, and
// channel/PROTOCOL.md for why nobody sleeps over a message or over room.
// Pinned by native/tests/test_channel.cpp and test_channel_processes.cpp.
#pragma once

#include "channel/channel.hpp"
#include "channel/doorbell.hpp"
#include "channel/joiner.hpp"
#include "channel/ring.hpp"
#include "channel/segment.hpp"
#include "sync/spin.hpp"

namespace weft::channel {

enum class Side : uint32_t { parent = 0, child = 1 };

// What a side owns of a shared channel, beside the memory.
struct SharedDescriptors {
  Descriptor own_event;
  Descriptor peer_event;
  Descriptor socket;   // hangs up when the other side is gone; carries the descriptors of blocks
  Descriptor process;  // a pidfd of the other side, if there is one
};

class SharedChannel final : public Channel {
 public:
  // A segment for two rings of `ring_size` bytes (a power of two, at least 256). Throws std::system_error.
  static Segment make_segment(size_t ring_size);

  // `segment` is what make_segment made, on this side or the other: else std::runtime_error. `spins`: there is more
  // than one core.
  SharedChannel(Side side, Segment segment, SharedDescriptors descriptors, bool spins);

  bool try_send(std::span<const Piece> pieces) override;
  bool is_sending() const override { return sent_ > 0; }
  size_t most_at_once() const override { return writer_.most(); }
  bool flush() override;
  std::optional<std::span<const std::byte>> peek() override;
  void release() override;
  Waited wait(What what, sync::Nanos deadline) override;
  void wake() override;
  void watch(Descriptor process) override { descriptors_.process = std::move(process); }
  int block_socket() const override { return descriptors_.socket.get(); }

 private:
  struct Layout;

  bool is_ready(What what);
  bool try_send_in_parts(std::span<const Piece> pieces, size_t total);
  void release_frame();
  bool no_room(size_t size);

  const Segment segment_;
  SharedDescriptors descriptors_;
  RingWriter writer_;
  RingReader reader_;
  Doorbell own_bell_;
  Ringer peer_bell_;
  Ringer waker_;  // rings the own bell
  const bool spins_;

  sync::SpinBudget budget_;
  Joiner joiner_;
  size_t sent_ = 0;   // of a message in parts; 0: none is under way
  size_t total_ = 0;  // of that message
  size_t needed_ = 0;  // what try_send last had no room for
  bool unflushed_ = false;
  bool gone_ = false;
  sync::Atomic<uint32_t> woken_{0};
};

}  // namespace weft::channel
