// A channel through a Unix socket, for systems without shared memory, and for when there is none left.
//
// A message goes as its size, 8 bytes, and itself. Short ones are gathered until flush(), so that many of them cost one
// system call; long ones go from where they are to where they are wanted, without a copy here.
// See channel.hpp for what may be called when.
// Pinned by native/tests/test_channel.cpp and test_channel_processes.cpp.
#pragma once

#include "channel/channel.hpp"
#include "channel/heap_buffer.hpp"
#include "sync/atomic.hpp"
#include "sync/spin.hpp"

namespace weft::channel {

class PipeChannel final : public Channel {
 public:
  // One end of make_socket_pair(false), and a pidfd of the other side or nothing. Throws std::system_error.
  PipeChannel(Descriptor socket, Descriptor process, bool spins);

  bool try_send(std::span<const Piece> pieces) override;
  bool is_sending() const override { return sent_ > 0; }
  size_t most_at_once() const override { return kMostGathered - kPrefix; }
  bool flush() override;
  std::optional<std::span<const std::byte>> peek() override;
  void release() override;
  Waited wait(What what, sync::Nanos deadline) override;
  void wake() override;
  void watch(Descriptor process) override { process_ = std::move(process); }
  int block_socket() const override { return -1; }

 private:
  static constexpr size_t kPrefix = sizeof(uint64_t);
  static constexpr size_t kMostGathered = size_t{64} << 10;
  static constexpr size_t kLeastRead = size_t{64} << 10;
  static constexpr size_t kKept = size_t{1} << 20;

  size_t write_some(std::span<const Piece> pieces, size_t offset);
  bool try_send_long(std::span<const Piece> pieces, size_t total);
  bool read_some();
  bool has_room() const;
  bool is_ready(What what);
  bool take_wake();

  Descriptor socket_;
  Descriptor process_;
  DescriptorPair waker_;  // a pipe that wake() writes into
  const bool spins_;

  // Out: [written_, gathered_) of out_ is still to be written.
  HeapBuffer out_;
  size_t gathered_ = 0;
  size_t written_ = 0;
  size_t sent_ = 0;      // of a long message, prefix and all; 0: none is under way
  size_t total_ = 0;     // of that message
  size_t lacks_ = 0;     // what a short message had no room for; 0: nothing, so room is when all is written
  bool lacks_socket_ = false;  // a long message waits for the socket
  // In: [read_, filled_) of in_ has come and was not released.
  HeapBuffer in_;
  size_t read_ = 0;
  size_t filled_ = 0;

  sync::SpinBudget budget_;
  bool closed_ = false;  // nothing more will come
  bool broken_ = false;  // nobody is there to write to
  bool gone_ = false;
  const char* corrupt_ = nullptr;
  sync::Atomic<uint32_t> woken_{0};
};

}  // namespace weft::channel
