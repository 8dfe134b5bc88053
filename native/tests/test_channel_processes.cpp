// A channel between processes that are killed: the one that is left is told, reads only what was sent whole, and keeps
// nothing.
//
// The other processes are this program again, in a role that the environment gives it, with descriptors that it
// inherits. So they have no threads, and what crosses exec is what a worker process gets.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "channel/blocks.hpp"
#include "channel/ends.hpp"
#include "channel_traffic.hpp"
#include "check.hpp"
#include "resources.hpp"

extern char** environ;  // which not every system's <unistd.h> declares

using namespace weft;
using namespace weft::test;
using namespace weft::channel;
using Prefer = ChannelOptions::Prefer;

namespace {

constexpr const char* kRole = "WEFT_TEST_CHANNEL_ROLE";
constexpr size_t kRing = 16384;
constexpr size_t kLargest = 100'000;

// What a process is told: "child" or "parent", the kind of channel, a seed, how many messages, where to report, the
// ends.
struct Role {
  char name[16] = "";
  int kind = 0;
  unsigned long long seed = 0;
  unsigned long long count = 0;
  int report = -1;
  std::array<int, ChannelEnds::kCount> ends = {-1, -1, -1, -1, -1};
};

[[noreturn]] void run_role(const Role& role);

struct RoleFromEnvironment {
  RoleFromEnvironment() {
    const char* const given = std::getenv(kRole);
    if (given == nullptr) return;
    Role role;
    const int read = std::sscanf(given, "%15s %d %llu %llu %d %d %d %d %d %d", role.name, &role.kind, &role.seed,
                                 &role.count, &role.report, &role.ends[0], &role.ends[1], &role.ends[2], &role.ends[3],
                                 &role.ends[4]);
    CHECK_EQ(read, 10);
    run_role(role);
  }
} role_from_environment;

// Starts this program in a role; it inherits the ends and the descriptor to report to.
pid_t start(const Role& role, const ChannelEnds& ends) {
  char text[256];
  std::snprintf(text, sizeof text, "%s=%s %d %llu %llu %d %d %d %d %d %d", kRole, role.name, role.kind, role.seed,
                role.count, role.report, role.ends[0], role.ends[1], role.ends[2], role.ends[3], role.ends[4]);
  const pid_t child = ::fork();
  CHECK(child >= 0);
  if (child != 0) return child;
  ends.let_inherit();
  if (role.report >= 0) close_at_exec(role.report, false);
  char program[] = "/proc/self/exe";
  char* arguments[] = {program, nullptr};
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, kRole, std::strlen(kRole)) != 0) environment.push_back(*entry);
  }
  environment.push_back(text);
  environment.push_back(nullptr);
  ::execve(program, arguments, environment.data());
  ::_exit(127);
}

struct Child {
  std::unique_ptr<Channel> channel;
  pid_t pid;
};

Child start_child(Prefer kind, unsigned long long from, size_t count, int report) {
  ChannelPair pair = make_pair({.prefer = kind, .ring_size = kRing, .spins = true});
  const ChannelEnds ends = pair.child.get();
  Role role{"child", static_cast<int>(pair.kind), from, count, report, ends.in_order()};
  const pid_t pid = start(role, ends);
  pair.child.close();
#if defined(__linux__)
  pair.parent->watch(open_pidfd(pid));
#endif
  return {std::move(pair.parent), pid};
}

void say(int report, char what) {
  if (report >= 0) CHECK_EQ(::write(report, &what, 1), 1);
}

// A byte that some role has reported; 0 if it is not there in time, or never will be.
[[maybe_unused]] char hear(int report, sync::Nanos deadline) {
  pollfd polled{report, POLLIN, 0};
  for (;;) {
    const Polled found = poll_until({&polled, 1}, deadline);
    if (found == Polled::interrupted) continue;
    char what = 0;
    if (found == Polled::timed_out || ::read(report, &what, 1) != 1) return 0;
    return what;
  }
}

[[noreturn]] void run_role(const Role& role) {
  const bool is_child = std::strcmp(role.name, "child") == 0;
  const auto kind = static_cast<ChannelKind>(role.kind);
  if (std::strcmp(role.name, "echo_blocks") == 0) {
    // Every message is a slice of a block; what comes back is a block with each byte one higher.
    const std::unique_ptr<Channel> channel = attach(ChannelEnds::from_order(kind, role.ends), true);
    BlockReader reader(channel->block_socket());
    BlockWriter writer(channel->block_socket());
    for (;;) {
      switch (channel->wait(What::message, sync::kForever)) {
        case Waited::ready:
          break;
        case Waited::peer_gone:
          ::_exit(0);
        default:
          continue;
      }
      BlockSlice slice;
      CHECK_EQ(channel->peek()->size(), sizeof slice);
      std::memcpy(&slice, channel->peek()->data(), sizeof slice);
      channel->release();
      const BlockLease lease = reader.open(slice);
      const std::optional<Block> block = writer.acquire(slice.size);
      CHECK(block.has_value());
      for (size_t i = 0; i < slice.size; ++i) {
        block->bytes[i] = static_cast<std::byte>(static_cast<int>(lease.bytes()[i]) + 1);
      }
      const BlockSlice answer = writer.lend(*block);
      const Piece piece = std::as_bytes(std::span(&answer, 1));
      CHECK(channel->try_send({&piece, 1}));
    }
  }
  if (is_child) {
    const std::unique_ptr<Channel> channel = attach(ChannelEnds::from_order(kind, role.ends), true);
    bool told = false;
    Traffic traffic{role.seed + 1, role.seed, role.count, kLargest};
    traffic.on_turn = [&](size_t got) {
      if (got > 0 && !std::exchange(told, true)) say(role.report, 'S');
    };
    const bool all = exchange(*channel, traffic);
    say(role.report, all ? 'A' : 'G');
    ::_exit(0);
  }
  const Child child = start_child(static_cast<Prefer>(role.kind), role.seed, Traffic::kEndless, role.report);
  ::close(role.report);
  (void)exchange(*child.channel, {role.seed, role.seed + 1, Traffic::kEndless, kLargest});
  ::_exit(1);
}

int reap(pid_t pid) {
  int status = -1;
  while (::waitpid(pid, &status, 0) < 0) CHECK_EQ(errno, EINTR);
  return status;
}

#if defined(__linux__)
constexpr Prefer kKinds[] = {Prefer::shared, Prefer::pipe};

// As many rounds as go into this time, but at least some: a round costs an exec, which a sanitizer makes slow.
bool goes_on(size_t round, sync::Nanos end) { return round < 3 || sync::now() < end; }
#endif

}  // namespace

#if defined(__linux__)

TEST(a_child_that_lives_gets_and_sends_everything) {
  const NothingIsLeft nothing_is_left;
  for (const Prefer kind : kKinds) {
    const size_t count = rounds(10'000);
    Child child = start_child(kind, seed(), count, -1);
    CHECK(exchange(*child.channel, {seed(), seed() + 1, count, kLargest}));
    CHECK(child.channel->wait(What::message, sync::deadline_after(10 * sync::kSecond)) == Waited::peer_gone);
    CHECK_EQ(reap(child.pid), 0);
  }
}

TEST(a_child_is_killed_at_any_moment) {
  const NothingIsLeft nothing_is_left;
  Random random(seed());
  for (const Prefer kind : kKinds) {
    const sync::Nanos end = sync::deadline_after(6 * sync::kSecond / 10);
    for (size_t round = 0; goes_on(round, end); ++round) {
      Child child = start_child(kind, seed() + round, Traffic::kEndless, -1);
      const size_t after = random.below(3) == 0 ? 0 : random.below(2000);  // before or after it has begun
      const sync::Nanos more = static_cast<sync::Nanos>(random.below(500)) * sync::kMicrosecond;
      sync::Nanos due = 0;
      sync::Nanos killed = 0;
      Traffic traffic{seed() + round, seed() + round + 1, Traffic::kEndless, kLargest};
      traffic.on_turn = [&](size_t got) {
        if (got < after || killed != 0) return;
        if (due == 0) due = sync::now() + more;
        if (sync::now() < due && after > 0) return;
        CHECK_EQ(::kill(child.pid, SIGKILL), 0);
        killed = sync::now();
      };
      CHECK(!exchange(*child.channel, traffic));
      CHECK(killed != 0);
      CHECK(sync::now() - killed < sync::kSecond);
      CHECK(WIFSIGNALED(reap(child.pid)));
    }
  }
}

TEST(a_parent_is_killed_at_any_moment) {
  const NothingIsLeft nothing_is_left;
  CHECK_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  Random random(seed());
  for (const Prefer kind : kKinds) {
    const sync::Nanos end = sync::deadline_after(6 * sync::kSecond / 10);
    for (size_t round = 0; goes_on(round, end); ++round) {
      DescriptorPair report = make_pipe();
      const Role role{"parent", static_cast<int>(kind), seed() + round, 0, report.second.get()};
      const pid_t parent = start(role, ChannelEnds());
      report.second.reset();
      CHECK_EQ(hear(report.first.get(), sync::deadline_after(20 * sync::kSecond)), 'S');
      // Nothing is reported meanwhile: this only lets some traffic pass.
      const auto traffic = static_cast<sync::Nanos>(random.below(5000)) * sync::kMicrosecond;
      CHECK_EQ(hear(report.first.get(), sync::deadline_after(traffic)), 0);
      CHECK_EQ(::kill(parent, SIGKILL), 0);
      CHECK_EQ(hear(report.first.get(), sync::deadline_after(sync::kSecond)), 'G');
      CHECK(WIFSIGNALED(reap(parent)));
      CHECK_EQ(reap(-1), 0);  // the child, which is ours now
    }
  }
  CHECK_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

TEST(blocks_go_between_processes_and_a_kill_leaves_none) {
  const NothingIsLeft nothing_is_left;
  Random random(seed());
  const sync::Nanos end = sync::deadline_after(sync::kSecond);
  for (size_t round = 0; goes_on(round, end); ++round) {
    ChannelPair pair = make_pair({.prefer = Prefer::shared});
    const ChannelEnds ends = pair.child.get();
    const pid_t pid = start({"echo_blocks", static_cast<int>(pair.kind), 0, 0, -1, ends.in_order()}, ends);
    pair.child.close();
    Channel& channel = *pair.parent;
    channel.watch(open_pidfd(pid));
    {
      BlockWriter writer(channel.block_socket());
      BlockReader reader(channel.block_socket());
      const size_t kill_at = 1 + random.below(20);
      for (size_t i = 0;; ++i) {
        const size_t size = kLeastBlock + random.below(300'000);
        const std::optional<Block> block = writer.acquire(size);
        CHECK(block.has_value() || i > kill_at);
        if (!block) break;  // EPIPE: nobody is there to take a new one
        std::memset(block->bytes.data(), static_cast<int>(i), size);
        const BlockSlice slice = writer.lend(*block);
        const Piece piece = std::as_bytes(std::span(&slice, 1));
        CHECK(channel.try_send({&piece, 1}));
        channel.flush();
        if (i == kill_at) CHECK_EQ(::kill(pid, SIGKILL), 0);
        const Waited waited = channel.wait(What::message, sync::deadline_after(20 * sync::kSecond));
        if (waited == Waited::peer_gone) {
          CHECK(i >= kill_at);
          break;
        }
        CHECK(waited == Waited::ready);
        BlockSlice answer;
        std::memcpy(&answer, channel.peek()->data(), sizeof answer);
        channel.release();
        const BlockLease lease = reader.open(answer);
        CHECK_EQ(lease.bytes().size(), size);
        for (const std::byte byte : lease.bytes()) CHECK(byte == static_cast<std::byte>(i + 1));
      }
      CHECK(writer.mapped_blocks() <= 8);  // they were used again
    }
    CHECK(WIFSIGNALED(reap(pid)));
  }
}

#else

TEST(a_child_that_goes_is_seen) {
  ChannelPair pair = make_pair({});
  CHECK(pair.kind == ChannelKind::pipe);
  const pid_t child = ::fork();
  CHECK(child >= 0);
  if (child == 0) ::_exit(0);
  pair.child.close();
  CHECK(pair.parent->wait(What::message, sync::deadline_after(10 * sync::kSecond)) == Waited::peer_gone);
  CHECK_EQ(reap(child), 0);
}

#endif
