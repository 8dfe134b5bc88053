// What a message costs between two processes: messages a second each way, and one there and back.
//
//   cmake --preset release && cmake --build --preset release --target bench_channel
//   build/release/native/tests/bench_channel [messages]
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "channel/blocks.hpp"
#include "channel/ends.hpp"

using namespace weft;
using namespace weft::channel;
using Prefer = ChannelOptions::Prefer;

namespace {

// In the child: each message comes back, until the parent goes.
[[noreturn]] void echo(Channel& channel) {
  for (;;) {
    while (const auto message = channel.peek()) {
      const Piece piece = *message;
      if (!channel.try_send({&piece, 1})) {
        if (channel.wait(What::room, sync::kForever) == Waited::peer_gone) ::_exit(0);
        continue;
      }
      channel.release();
    }
    channel.flush();
    if (channel.wait(What::message, sync::kForever) == Waited::peer_gone) ::_exit(0);
  }
}

// In the child: each block comes back in a block of the child's, copied.
[[noreturn]] void echo_blocks(Channel& channel) {
  BlockReader reader(channel.block_socket());
  BlockWriter writer(channel.block_socket());
  for (;;) {
    const Waited waited = channel.wait(What::message, sync::kForever);
    if (waited == Waited::peer_gone) ::_exit(0);
    if (waited != Waited::ready) continue;
    BlockSlice slice;
    std::memcpy(&slice, channel.peek()->data(), sizeof slice);
    channel.release();
    const BlockLease lease = reader.open(slice);
    const std::optional<Block> block = writer.acquire(slice.size);
    if (!block) ::_exit(1);
    std::memcpy(block->bytes.data(), lease.bytes().data(), slice.size);
    const BlockSlice answer = writer.lend(*block);
    const Piece piece = std::as_bytes(std::span(&answer, 1));
    (void)channel.try_send({&piece, 1});
  }
}

struct Echo {
  Echo(Prefer kind, bool spins, bool blocks) {
    ChannelPair pair = make_pair({.prefer = kind, .spins = spins});
    pid = ::fork();
    if (pid == 0) {
      pair.parent.reset();
      const std::unique_ptr<Channel> mine = attach(pair.child.release(), spins);
      blocks ? echo_blocks(*mine) : echo(*mine);
    }
    channel = std::move(pair.parent);
  }
  ~Echo() {
    channel.reset();
    (void)::waitpid(pid, nullptr, 0);
  }
  pid_t pid;
  std::unique_ptr<Channel> channel;
};

// Messages a second, with up to 100 under way.
double throughput(Prefer kind, bool spins, size_t size, size_t count) {
  Echo child(kind, spins, false);
  Channel& channel = *child.channel;
  const std::vector<std::byte> bytes(size);
  const Piece piece(bytes);
  size_t sent = 0;
  const sync::Nanos start = sync::now();
  for (size_t got = 0; got < count;) {
    while (sent < count && sent - got < 100 && channel.try_send({&piece, 1})) ++sent;
    channel.flush();
    while (channel.peek()) {
      channel.release();
      ++got;
    }
    if (got < sent) (void)channel.wait(What::message, sync::kForever);
  }
  return static_cast<double>(count) * 1e9 / static_cast<double>(sync::now() - start);
}

// Nanoseconds: the median, since one wake-up that comes late says nothing.
double there_and_back(Prefer kind, bool spins, size_t count) {
  Echo child(kind, spins, false);
  Channel& channel = *child.channel;
  const std::vector<std::byte> bytes(100);
  const Piece piece(bytes);
  std::vector<double> times;
  for (size_t i = 0; i < count; ++i) {
    const sync::Nanos start = sync::now();
    (void)channel.try_send({&piece, 1});
    while (!channel.peek()) (void)channel.wait(What::message, sync::kForever);
    channel.release();
    times.push_back(static_cast<double>(sync::now() - start));
  }
  std::nth_element(times.begin(), times.begin() + static_cast<ptrdiff_t>(count / 2), times.end());
  return times[count / 2];
}

// Milliseconds for 64 MiB there and back, copied once each way.
double block_there_and_back(size_t count) {
  Echo child(Prefer::shared, true, true);
  Channel& channel = *child.channel;
  BlockWriter writer(channel.block_socket());
  BlockReader reader(channel.block_socket());
  const std::vector<std::byte> bytes(size_t{64} << 20, std::byte{1});
  double best = 1e9;
  for (size_t i = 0; i < count; ++i) {
    const sync::Nanos start = sync::now();
    const std::optional<Block> block = writer.acquire(bytes.size());
    if (!block) return -1;
    std::memcpy(block->bytes.data(), bytes.data(), bytes.size());
    const BlockSlice slice = writer.lend(*block);
    const Piece piece = std::as_bytes(std::span(&slice, 1));
    (void)channel.try_send({&piece, 1});
    while (!channel.peek()) {
      if (channel.wait(What::message, sync::kForever) == Waited::peer_gone) return -1;
    }
    BlockSlice answer;
    std::memcpy(&answer, channel.peek()->data(), sizeof answer);
    channel.release();
    const BlockLease lease = reader.open(answer);
    const double took = static_cast<double>(sync::now() - start) / 1e6;
    if (i == 0) std::printf("%-56s %9.1f ms\n", "64 MiB in a block, there and back, the first", took);
    best = std::min(best, took);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 300'000;
  const struct {
    const char* name;
    Prefer kind;
    bool spins;
  } kinds[] = {{"shared memory", Prefer::shared, true},
               {"shared memory, no spinning", Prefer::shared, false},
               {"socket", Prefer::pipe, true}};
  for (const auto& [name, kind, spins] : kinds) {
    for (const size_t size : {size_t{100}, size_t{1000}}) {
      double best = 0;
      for (int i = 0; i < 3; ++i) best = std::max(best, throughput(kind, spins, size, count));
      std::printf("%-40s %4zu bytes     %9.0f messages/s each way\n", name, size, best);
    }
    std::printf("%-40s there and back %9.2f us\n", name, there_and_back(kind, spins, count / 15) / 1e3);
  }
#if defined(__linux__)
  std::printf("%-56s %9.1f ms\n", "64 MiB in a block, there and back, the best of 8", block_there_and_back(8));
#endif
  return 0;
}
