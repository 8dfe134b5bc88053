#include "channel/blocks.hpp"

#include <unistd.h>

#include <bit>
#include <cerrno>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

namespace weft::channel {

// The begin of every block.
struct alignas(64) BlockHeader {
  // Slices that the receiver has still to end: the owner's to raise, the receiver's to lower.
  sync::Atomic<uint32_t> leases{0};
  sync::Atomic<uint32_t> retired{0};  // the owner has unmapped it
};

static_assert(sync::is_address_free<uint32_t> && sizeof(BlockHeader) == 64);

namespace {

BlockHeader& header_at(std::span<std::byte> segment) {
  // SAFETY: made by the owner at the begin of the mapping, before the descriptor was sent; address-free (asserted
  // above).
  return *std::launder(reinterpret_cast<BlockHeader*>(segment.data()));
}

// Sizes are rounded up by an eighth at most, so that a block fits the next buffer of about that size.
size_t rounded(size_t size) {
  const size_t step = std::max(kLeastBlock, std::bit_floor(size) / 8);
  return (size + step - 1) / step * step;
}

}  // namespace

// ---- the owner ----------------------------------------------------------------------------------------------------

BlockWriter::BlockWriter(int socket, BlockLimits limits) : socket_(socket), limits_(limits) {}

BlockHeader& BlockWriter::header_of(const Owned& owned) const { return header_at(owned.segment.bytes()); }

std::optional<Block> BlockWriter::acquire(size_t size) {
  reclaim();
  uint64_t number = 0;
  // The smallest that fits, unless it would waste more than half of itself.
  const auto fits = size <= SIZE_MAX / 4 ? free_.lower_bound(size + sizeof(BlockHeader)) : free_.end();
  if (fits != free_.end() && fits->first <= 2 * std::max(size, kLeastBlock)) {
    number = fits->second;
    free_bytes_ -= fits->first;
    free_.erase(fits);
  } else {
    try {
      number = make(size);
    } catch (const std::system_error& failed) {
      error_ = failed.code().value();
      return std::nullopt;
    }
  }
  error_ = 0;
  return Block{number, blocks_.at(number).segment.bytes().subspan(sizeof(BlockHeader), size)};
}

// If there is no memory, what is free is in the way.
Segment BlockWriter::make_segment(size_t size) {
  try {
    return Segment::create(size);
  } catch (const std::system_error& failed) {
    const int error = failed.code().value();
    if ((error != ENOMEM && error != ENOSPC) || free_.empty()) throw;
  }
  retire_beyond(0, 0);
  return Segment::create(size);
}

uint64_t BlockWriter::make(size_t size) {
  if (socket_ < 0) throw_errno("weft: blocks without shared memory", ENOTSUP);
  if (size > SIZE_MAX / 4) throw_errno("weft: a block that is too large", ENOMEM);
  if (blocks_.size() >= limits_.blocks) retire_beyond(SIZE_MAX, free_.empty() ? 0 : free_.size() - 1);
  if (blocks_.size() >= limits_.blocks) throw_errno("weft: too many blocks in use", ENOSPC);
  const uint64_t number = next_number_;
  Segment segment = make_segment(rounded(size + sizeof(BlockHeader)));
  new (segment.bytes().data()) BlockHeader{};
  Owned& owned = blocks_[number];
  const Descriptor descriptor = segment.take_descriptor();  // closed when it is sent: the mappings keep the memory
  const int failed = send_descriptor(socket_, descriptor.get(), std::as_bytes(std::span(&number, 1)));
  if (failed != 0) {
    blocks_.erase(number);
    throw_errno("weft: a block could not be passed on", failed);
  }
  ++next_number_;
  mapped_bytes_ += segment.bytes().size();
  owned.segment = std::move(segment);
  return number;
}

BlockSlice BlockWriter::lend(const Block& block) {
  lend(block, 1);
  return {block.number, 0, block.bytes.size()};
}

void BlockWriter::lend(const Block& block, uint32_t slices) {
  Owned& owned = blocks_.at(block.number);
  if (slices == 0 || owned.is_lent) throw std::logic_error("weft: a block is lent once, for at least one slice");
  // Published by the message that names it.
  header_of(owned).leases.store(slices, sync::relaxed);
  owned.is_lent = true;
  lent_.emplace(++clock_, block.number);
}

void BlockWriter::give_back(const Block& block) {
  Owned& owned = blocks_.at(block.number);
  if (owned.is_lent) throw std::logic_error("weft: a block that is lent cannot be given back by its owner");
  set_free(block.number, owned);
  retire_beyond(limits_.cached, limits_.blocks);
}

void BlockWriter::set_free(uint64_t number, Owned& owned) {
  owned.is_lent = false;
  owned.freed = ++clock_;
  free_.emplace(owned.segment.bytes().size(), number);
  free_bytes_ += owned.segment.bytes().size();
}

void BlockWriter::reclaim() {
  for (auto entry = lent_.begin(); entry != lent_.end();) {
    Owned& owned = blocks_.at(entry->second);
    // Pairs with the end of the last lease: what the receiver did with the block is over.
    if (header_of(owned).leases.load(sync::acquire) != 0) {
      ++entry;
      continue;
    }
    set_free(entry->second, owned);
    entry = lent_.erase(entry);
  }
  retire_beyond(limits_.cached, limits_.blocks);
}

// Gives free blocks back, those that have been free for longest first, until no more than this is free.
void BlockWriter::retire_beyond(size_t bytes, size_t blocks) {
  while (free_bytes_ > bytes || free_.size() > blocks) {
    auto oldest = free_.begin();
    for (auto entry = free_.begin(); entry != free_.end(); ++entry) {
      if (blocks_.at(entry->second).freed < blocks_.at(oldest->second).freed) oldest = entry;
    }
    const auto found = blocks_.find(oldest->second);
    header_of(found->second).retired.store(1, sync::release);
    free_bytes_ -= oldest->first;
    mapped_bytes_ -= oldest->first;
    free_.erase(oldest);
    blocks_.erase(found);
  }
}

// ---- the receiver -------------------------------------------------------------------------------------------------

class BlockMapping {
 public:
  explicit BlockMapping(Segment segment) : segment_(std::move(segment)), process_(::getpid()) {}

  std::span<std::byte> bytes() const { return segment_.bytes().subspan(sizeof(BlockHeader)); }
  bool is_retired() const { return header_at(segment_.bytes()).retired.load(sync::acquire) != 0; }
  void end_lease() const {
    // A forked process has a copy of the lease, but the lease is its parent's.
    if (::getpid() == process_) header_at(segment_.bytes()).leases.fetch_sub(1, sync::acq_rel);
  }

 private:
  const Segment segment_;
  const pid_t process_;
};

BlockLease& BlockLease::operator=(BlockLease&& other) noexcept {
  if (this != &other) {
    end();
    mapping_ = std::move(other.mapping_);
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

void BlockLease::end() {
  if (mapping_ == nullptr) return;
  mapping_->end_lease();
  mapping_.reset();
  bytes_ = {};
}

void BlockReader::receive_all() {
  for (;;) {
    uint64_t number = 0;
    std::optional<Descriptor> descriptor = receive_descriptor(socket_, std::as_writable_bytes(std::span(&number, 1)));
    if (!descriptor) return;
    Segment segment = Segment::open(std::move(*descriptor), sizeof(BlockHeader));
    (void)segment.take_descriptor();  // closed: the mapping is enough
    mapped_[number] = std::make_shared<const BlockMapping>(std::move(segment));
  }
}

BlockLease BlockReader::open(const BlockSlice& slice) {
  auto found = mapped_.find(slice.block);
  if (found == mapped_.end()) {
    // It was sent before the message that names it, so it is there.
    receive_all();
    collect();
    found = mapped_.find(slice.block);
    if (found == mapped_.end()) throw Corrupt("weft: a message names a block that was not sent");
  }
  const std::span<std::byte> bytes = found->second->bytes();
  if (slice.offset > bytes.size() || slice.size > bytes.size() - slice.offset) {
    throw Corrupt("weft: a message names more of a block than there is");
  }
  return {found->second, bytes.subspan(slice.offset, slice.size)};
}

void BlockReader::collect() {
  std::erase_if(mapped_, [](const auto& entry) { return entry.second->is_retired(); });
}

}  // namespace weft::channel
