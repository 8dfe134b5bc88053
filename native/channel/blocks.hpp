// Large buffers beside the ring: each in memory of its own, which the sender owns and the receiver reads in place.
//
// BlockWriter is the sender's. It makes a block, or takes one that has come back (page faults cost more than the copy),
// the caller fills it and lends it; the message then says which block, where in it, and how much: a BlockSlice.
// BlockReader is the receiver's: it gets each block's descriptor once, over the channel's socket, and maps it once. A
// BlockLease keeps one slice readable, and writable; when the last lease of what was lent ends, on any thread, the
// block is the owner's again. A block never moves, and its memory is not used again, while a lease of it lives.
//
// Bounded: free blocks beyond a limit are given back, oldest first: the owner unmaps them at once and the receiver when
// it next collects. All failures come from acquire(), as values: the bytes can go through the channel instead.
//
// One thread at a time for a writer or a reader; leases end on any thread. Ends: a writer that goes unmaps everything,
// a reader too, but leases keep their memory for as long as they live, also when both processes' channels are gone.
// Nothing has a name, so nothing is left when both are killed.
// In a process forked from the receiver a lease ends without a word: the block is still its parent's.
// Protocol: channel/PROTOCOL.md. Pinned by native/tests/test_blocks.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>

#include "channel/corrupt.hpp"
#include "channel/segment.hpp"
#include "sync/atomic.hpp"

namespace weft::channel {

// Buffers of fewer bytes than this are better off in the ring.
inline constexpr size_t kLeastBlock = size_t{64} << 10;

// What travels in a message. Plain numbers.
struct BlockSlice {
  uint64_t block;
  uint64_t offset;
  uint64_t size;
};

// A block that its owner is filling. Numbers are never used again.
struct Block {
  uint64_t number;
  std::span<std::byte> bytes;  // aligned to 64; as many as were asked for
};

struct BlockHeader;

struct BlockLimits {
  size_t cached = size_t{256} << 20;  // bytes in free blocks
  size_t blocks = 1024;               // in all; each is a mapping on both sides
};

class BlockWriter {
 public:
  // `socket`: Channel::block_socket(), which must stay open as long as this; -1: acquire() always fails.
  BlockWriter(int socket, BlockLimits limits);
  explicit BlockWriter(int socket) : BlockWriter(socket, BlockLimits()) {}
  // What is lent stays the receiver's, to be opened even now.
  ~BlockWriter() = default;
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;

  // Nothing if there can be none now: error() says why, as an errno.
  [[nodiscard]] std::optional<Block> acquire(size_t size);
  int error() const { return error_; }

  // Filled: the other side's from now on, which must open exactly `slices` slices of it (at least 1), each once.
  BlockSlice lend(const Block& block);  // all of it, one slice
  void lend(const Block& block, uint32_t slices);
  // Not needed after all.
  void give_back(const Block& block);

  // Looks which blocks have come back, and gives back what is free beyond the limit. acquire() does so too.
  void reclaim();

  size_t mapped_bytes() const { return mapped_bytes_; }
  size_t free_bytes() const { return free_bytes_; }
  size_t mapped_blocks() const { return blocks_.size(); }

 private:
  struct Owned {
    Segment segment;
    uint64_t freed = 0;  // when, in turns of `clock_`
    bool is_lent = false;
  };

  BlockHeader& header_of(const Owned& owned) const;
  void set_free(uint64_t number, Owned& owned);
  void retire_beyond(size_t bytes, size_t blocks);
  uint64_t make(size_t size);
  Segment make_segment(size_t size);

  const int socket_;
  const BlockLimits limits_;
  std::unordered_map<uint64_t, Owned> blocks_;
  std::multimap<size_t, uint64_t> free_;    // by size
  std::map<uint64_t, uint64_t> lent_;       // in the order of lending, which is that of coming back, mostly
  uint64_t next_number_ = 1;
  uint64_t clock_ = 0;
  size_t mapped_bytes_ = 0;
  size_t free_bytes_ = 0;
  int error_ = 0;
};

class BlockMapping;

class BlockLease {
 public:
  BlockLease() = default;
  BlockLease(std::shared_ptr<const BlockMapping> mapping, std::span<std::byte> bytes)
      : mapping_(std::move(mapping)), bytes_(bytes) {}
  ~BlockLease() { end(); }
  BlockLease(BlockLease&& other) noexcept
      : mapping_(std::move(other.mapping_)), bytes_(std::exchange(other.bytes_, {})) {}
  BlockLease& operator=(BlockLease&& other) noexcept;

  std::span<std::byte> bytes() const { return bytes_; }
  void end();

 private:
  std::shared_ptr<const BlockMapping> mapping_;
  std::span<std::byte> bytes_;
};

class BlockReader {
 public:
  explicit BlockReader(int socket) : socket_(socket) {}

  // Throws Corrupt if no such block was sent or the slice is not within it, and std::system_error if this process can
  // have no more descriptors or mappings.
  BlockLease open(const BlockSlice& slice);

  // Unmaps what the owner has given back. open() does so when a new block comes; call it before a long sleep.
  void collect();

  size_t mapped_blocks() const { return mapped_.size(); }

 private:
  void receive_all();

  const int socket_;
  std::unordered_map<uint64_t, std::shared_ptr<const BlockMapping>> mapped_;
};

}  // namespace weft::channel
