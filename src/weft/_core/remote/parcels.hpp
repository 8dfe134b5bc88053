// Buffers that go beside the bytes of a message: large ones in blocks, the others in the message itself.
#pragma once

#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

#include "channel/pieces.hpp"
#include "remote/lent.hpp"
#include "remote/wire.hpp"

namespace weft::core {

// SAFETY: the structs of wire.hpp are plain, and sent as they are; text is bytes.
template <class Struct>
channel::Piece piece_of(const Struct& plain) {
  static_assert(std::is_trivially_copyable_v<Struct>);
  return {reinterpret_cast<const std::byte*>(&plain), sizeof plain};
}
inline channel::Piece piece_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view text_of(channel::Piece piece) { return {reinterpret_cast<const char*>(piece.data()), piece.size()}; }

// Memory of a block that the other process lent.
class LeasedMemory final : public LentMemory {
 public:
  LeasedMemory(channel::BlockLease lease, bool read_only) : lease_(std::move(lease)), read_only_(read_only) {}

  void* data() const override { return lease_.bytes().data(); }
  size_t size() const override { return lease_.bytes().size(); }
  bool is_read_only() const override { return read_only_; }

 private:
  channel::BlockLease lease_;
  bool read_only_;
};

struct OutgoingBuffer {
  const void* data;
  size_t size;
  bool read_only;
};

// The entries and pieces of a message's buffers. Copies large ones into blocks; where there can be none they go as pieces.
class OutgoingBuffers {
 public:
  void add(const OutgoingBuffer&, channel::BlockWriter&);
  // SAFETY: as above: the entries are plain.
  channel::Piece table() const {
    return {reinterpret_cast<const std::byte*>(entries.data()), entries.size() * sizeof(wire::BufferEntry)};
  }

  std::vector<wire::BufferEntry> entries;
  std::vector<channel::Piece> pieces;
};

// Takes the buffers out of a message whose entries and inline buffers are given; moves both on. Throws channel::Corrupt.
std::vector<std::shared_ptr<LentMemory>> incoming_buffers(channel::Piece entries, size_t count, channel::Piece* rest,
                                                          channel::BlockReader&);

// The first `size` bytes, taken off. Throws channel::Corrupt.
channel::Piece take(channel::Piece* message, size_t size);

}  // namespace weft::core
