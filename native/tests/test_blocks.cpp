// Blocks: what is lent can be read until the last lease ends, its memory is used again only then, and what is kept is
// bounded.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <system_error>

#include "channel/blocks.hpp"
#include "check.hpp"
#include "resources.hpp"
#include "sync/mutex.hpp"

using namespace weft;
using namespace weft::test;
using namespace weft::channel;

#if defined(__linux__)

namespace {

struct Sides {
  explicit Sides(BlockLimits limits = {}) : writer(sockets.first.get(), limits) {}

  DescriptorPair sockets = make_socket_pair(true);
  BlockWriter writer;
  BlockReader reader{sockets.second.get()};
};

constexpr size_t kSize = 100'000;

BlockSlice lend(BlockWriter& writer, size_t size, int fill) {
  const std::optional<Block> block = writer.acquire(size);
  CHECK(block.has_value());
  CHECK_EQ(block->bytes.size(), size);
  std::memset(block->bytes.data(), fill, size);
  return writer.lend(*block);
}

void expect(const BlockLease& lease, size_t size, int fill) {
  CHECK_EQ(lease.bytes().size(), size);
  for (const std::byte byte : lease.bytes()) CHECK(byte == static_cast<std::byte>(fill));
}

template <class Body>
void with_limit(decltype(RLIMIT_NOFILE) which, rlim_t value, Body&& body) {
  rlimit before{};
  CHECK_EQ(::getrlimit(which, &before), 0);
  rlimit less = before;
  less.rlim_cur = value;
  CHECK_EQ(::setrlimit(which, &less), 0);
  body();
  CHECK_EQ(::setrlimit(which, &before), 0);
}

}  // namespace

TEST(what_is_lent_can_be_read_and_its_memory_is_used_again) {
  const NothingIsLeft nothing_is_left;
  Sides sides;
  const long descriptors = Resources::now().descriptors;
  const BlockSlice first = lend(sides.writer, kSize, 1);
  BlockLease lease = sides.reader.open(first);
  expect(lease, kSize, 1);
  // In use: another block is made.
  const BlockSlice second = lend(sides.writer, kSize, 2);
  CHECK(second.block != first.block);
  expect(lease, kSize, 1);
  lease.end();
  const BlockSlice third = lend(sides.writer, kSize + 100, 3);
  CHECK_EQ(third.block, first.block);
  const BlockLease again = sides.reader.open(third);
  expect(again, kSize + 100, 3);
  expect(sides.reader.open(second), kSize, 2);
  CHECK_EQ(sides.reader.mapped_blocks(), 2);
  CHECK_EQ(Resources::now().descriptors, descriptors);  // mappings need none
}

TEST(a_block_is_free_when_the_last_of_its_slices_ends) {
  const NothingIsLeft nothing_is_left;
  Sides sides;
  const Block block = *sides.writer.acquire(kSize);
  sides.writer.lend(block, 2);
  BlockLease left = sides.reader.open({block.number, 0, 10});
  left.end();  // before the other one is opened
  CHECK(sides.writer.acquire(kSize)->number != block.number);
  BlockLease right = sides.reader.open({block.number, 10, kSize - 10});
  BlockLease moved = std::move(right);
  right.end();
  sides.writer.reclaim();
  CHECK_EQ(sides.writer.free_bytes(), 0);
  moved = BlockLease();
  sides.writer.reclaim();
  CHECK(sides.writer.free_bytes() > 0);
  CHECK_EQ(sides.writer.acquire(kSize)->number, block.number);
}

TEST(what_is_kept_is_bounded) {
  const NothingIsLeft nothing_is_left;
  constexpr size_t kMegabyte = size_t{1} << 20;
  Sides sides({.cached = 3 * kMegabyte});
  std::vector<BlockLease> leases;
  for (int i = 0; i < 8; ++i) leases.push_back(sides.reader.open(lend(sides.writer, kMegabyte - 64, i)));
  CHECK_EQ(sides.writer.mapped_blocks(), 8);
  leases.clear();
  sides.writer.reclaim();
  CHECK_EQ(sides.writer.mapped_bytes(), 3 * kMegabyte);
  CHECK_EQ(sides.writer.free_bytes(), 3 * kMegabyte);
  CHECK_EQ(sides.reader.mapped_blocks(), 8);
  sides.reader.collect();
  CHECK_EQ(sides.reader.mapped_blocks(), 3);
  // The newest are kept. And what was never lent counts too.
  const Block block = *sides.writer.acquire(kMegabyte - 64);
  CHECK(block.number >= 6);
  sides.writer.give_back(block);
  const Block large = *sides.writer.acquire(4 * kMegabyte);
  sides.writer.give_back(large);
  CHECK(sides.writer.free_bytes() <= 3 * kMegabyte);
}

TEST(a_small_buffer_does_not_take_a_large_block) {
  Sides sides;
  const Block large = *sides.writer.acquire(size_t{8} << 20);
  sides.writer.give_back(large);
  CHECK(sides.writer.acquire(kLeastBlock)->number != large.number);
  CHECK_EQ(sides.writer.acquire(size_t{7} << 20)->number, large.number);
}

TEST(failure_is_a_value) {
  const NothingIsLeft nothing_is_left;
  Sides sides({.cached = size_t{64} << 20, .blocks = 16});
  const auto fails_with = [&](size_t size, int error) {
    const Resources before = Resources::now();
    CHECK(!sides.writer.acquire(size));
    CHECK_EQ(sides.writer.error(), error);
    CHECK_EQ(Resources::now().descriptors, before.descriptors);
    CHECK_EQ(Resources::now().shared_mappings, before.shared_mappings);
  };
  fails_with(size_t{1} << 50, ENOMEM);
  fails_with(SIZE_MAX, ENOMEM);
  with_limit(RLIMIT_FSIZE, 1 << 16, [&] { fails_with(1 << 20, EFBIG); });
  with_limit(RLIMIT_NOFILE, 0, [&] {
    CHECK(!sides.writer.acquire(kSize));
    CHECK_EQ(sides.writer.error(), EMFILE);
  });
  BlockWriter without(-1);
  CHECK(!without.acquire(kSize));
  CHECK_EQ(without.error(), ENOTSUP);
  // As many as there may be; then a free one makes room for one of another size.
  std::vector<Block> blocks;
  for (int i = 0; i < 16; ++i) blocks.push_back(*sides.writer.acquire(kSize));
  fails_with(kSize, ENOSPC);
  sides.writer.give_back(blocks.front());
  CHECK(sides.writer.acquire(size_t{4} << 20).has_value());
  // All is well again.
  expect(sides.reader.open([&] {
    std::memset(blocks.back().bytes.data(), 5, kSize);
    return sides.writer.lend(blocks.back());
  }()), kSize, 5);
}

TEST(a_receiver_that_does_not_read_makes_acquire_fail) {
  const NothingIsLeft nothing_is_left;
  Sides sides({.cached = size_t{1} << 20, .blocks = 100'000});
  std::vector<Block> blocks;
  while (const std::optional<Block> block = sides.writer.acquire(kLeastBlock)) {
    blocks.push_back(*block);
    CHECK(blocks.size() < 10'000);
  }
  CHECK(sides.writer.error() == EAGAIN || sides.writer.error() == ETOOMANYREFS);
  for (const Block& block : blocks) sides.writer.give_back(block);
  // It takes them all at once; those that are retired by then do not stay.
  const BlockSlice slice = lend(sides.writer, kLeastBlock, 9);
  expect(sides.reader.open(slice), kLeastBlock, 9);
  CHECK_EQ(sides.reader.mapped_blocks(), sides.writer.mapped_blocks());
}

TEST(a_receiver_without_descriptors_gets_an_error) {
  const NothingIsLeft nothing_is_left;
  Sides sides;
  const BlockSlice slice = lend(sides.writer, kSize, 1);
  int error = 0;
  with_limit(RLIMIT_NOFILE, 0, [&] {
    try {
      (void)sides.reader.open(slice);
    } catch (const std::system_error& failed) {
      error = failed.code().value();
    }
  });
  CHECK_EQ(error, EMFILE);
  expect(sides.reader.open(lend(sides.writer, kSize, 2)), kSize, 2);
}

TEST(a_slice_that_cannot_be_is_corrupt) {
  Sides sides;
  const BlockSlice slice = lend(sides.writer, kSize, 1);
  const auto is_corrupt = [&](BlockSlice bad) {
    try {
      (void)sides.reader.open(bad);
    } catch (const Corrupt&) {
      return true;
    }
    return false;
  };
  CHECK(is_corrupt({slice.block + 1, 0, 1}));
  CHECK(is_corrupt({slice.block, 0, kSize * 2}));
  CHECK(is_corrupt({slice.block, kSize * 2, 0}));
  CHECK(is_corrupt({slice.block, SIZE_MAX, 2}));
  CHECK(is_corrupt({slice.block, 1, SIZE_MAX}));
  CHECK(!is_corrupt(slice));
}

TEST(a_lease_outlives_both_sides) {
  const NothingIsLeft nothing_is_left;
  BlockLease lease;
  {
    Sides sides;
    lease = sides.reader.open(lend(sides.writer, kSize, 4));
  }
  expect(lease, kSize, 4);
}

TEST(what_was_lent_before_the_end_can_still_be_opened) {
  const NothingIsLeft nothing_is_left;
  DescriptorPair sockets = make_socket_pair(true);
  BlockReader reader(sockets.first.get());
  BlockSlice slice;
  {
    BlockWriter going(sockets.second.get());
    slice = lend(going, kSize, 7);
    // It goes without having taken what was sent to it, which its socket reports to us as an error.
    BlockWriter staying(sockets.first.get());
    (void)lend(staying, kSize, 8);
    sockets.second.reset();
  }
  reader.collect();
  expect(reader.open(slice), kSize, 7);
}

TEST(a_forked_process_does_not_end_its_parents_lease) {
  const NothingIsLeft nothing_is_left;
  Sides sides;
  const BlockSlice slice = lend(sides.writer, kSize, 6);
  BlockLease lease = sides.reader.open(slice);
  const pid_t child = ::fork();
  CHECK(child >= 0);
  if (child == 0) {
    lease.end();
    ::_exit(0);
  }
  int status = -1;
  while (::waitpid(child, &status, 0) < 0) CHECK_EQ(errno, EINTR);
  CHECK_EQ(status, 0);
  CHECK(sides.writer.acquire(kSize)->number != slice.block);
  expect(lease, kSize, 6);
}

// Three threads: the owner, the receiver, and one on which leases end. What is read must not change while a lease
// lives.
TEST(no_memory_is_used_again_too_early) {
  const NothingIsLeft nothing_is_left;
  Sides sides({.cached = size_t{1} << 20, .blocks = 64});
  sync::Mutex mutex;
  std::deque<std::pair<BlockSlice, int>> sent;  // stands for the ring
  std::deque<std::pair<BlockLease, int>> held;
  std::atomic<bool> all_sent{false};
  std::atomic<bool> all_opened{false};
  const size_t count = rounds(1200);
  on_threads(3, [&](uint32_t me) {
    Random random(seed() + me);
    const auto take = [&](auto& queue) {
      const sync::LockGuard guard(mutex);
      std::optional<typename std::decay_t<decltype(queue)>::value_type> item;
      if (!queue.empty()) {
        item.emplace(std::move(queue.front()));
        queue.pop_front();
      }
      return item;
    };
    if (me == 0) {
      for (size_t i = 0; i < count; ++i) {
        const size_t size = kLeastBlock + random.below(200'000);
        std::optional<Block> block;
        wait_until([&] { return (block = sides.writer.acquire(size)).has_value(); });
        const int fill = static_cast<int>(random.below(256));
        std::memset(block->bytes.data(), fill, size);
        const BlockSlice slice = sides.writer.lend(*block);
        const sync::LockGuard guard(mutex);
        sent.emplace_back(slice, fill);
      }
      all_sent.store(true);
    } else if (me == 1) {
      for (;;) {
        const bool last = all_sent.load();
        auto item = take(sent);
        if (!item && last) break;
        if (!item) {
          std::this_thread::yield();
          continue;
        }
        BlockLease lease = sides.reader.open(item->first);
        const sync::LockGuard guard(mutex);
        held.emplace_back(std::move(lease), item->second);
      }
      all_opened.store(true);
    } else {
      for (;;) {
        const bool last = all_opened.load();
        auto item = take(held);
        if (!item && last) break;
        if (!item) {
          std::this_thread::yield();
          continue;
        }
        const std::span<const std::byte> bytes = item->first.bytes();
        for (size_t at = 0; at < bytes.size(); at += 61) CHECK(bytes[at] == static_cast<std::byte>(item->second));
      }
    }
  });
  sides.writer.reclaim();
  sides.reader.collect();
  CHECK_EQ(sides.writer.mapped_bytes(), sides.writer.free_bytes());
  CHECK(sides.writer.free_bytes() <= size_t{1} << 20);
  CHECK_EQ(sides.reader.mapped_blocks(), sides.writer.mapped_blocks());
}

#else

TEST(there_are_no_blocks_here) {
  BlockWriter writer(-1);
  CHECK(!writer.acquire(kLeastBlock));
  CHECK_EQ(writer.error(), ENOTSUP);
}

#endif
