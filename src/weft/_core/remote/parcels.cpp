#include "remote/parcels.hpp"

#include <cstring>

namespace weft::core {

void OutgoingBuffers::add(const OutgoingBuffer& buffer, channel::BlockWriter& writer) {
  wire::BufferEntry entry{{0, 0, buffer.size}, buffer.read_only ? 1u : 0u};
  if (buffer.size >= channel::kLeastBlock) {
    if (const auto block = writer.acquire(buffer.size)) {
      std::memcpy(block->bytes.data(), buffer.data, buffer.size);
      entry.slice = writer.lend(*block);
      entries.push_back(entry);
      return;
    }
  }
  entries.push_back(entry);
  // SAFETY: whoever sends keeps the memory as it is until it has been sent.
  pieces.push_back({static_cast<const std::byte*>(buffer.data), buffer.size});
}

channel::Piece take(channel::Piece* message, size_t size) {
  if (size > message->size()) throw channel::Corrupt("a message of a worker process is shorter than it says");
  const channel::Piece taken = message->first(size);
  *message = message->subspan(size);
  return taken;
}

std::vector<std::shared_ptr<LentMemory>> incoming_buffers(channel::Piece entries, size_t count, channel::Piece* rest,
                                                          channel::BlockReader& reader) {
  std::vector<std::shared_ptr<LentMemory>> buffers;
  buffers.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    wire::BufferEntry entry;
    std::memcpy(&entry, entries.data() + i * sizeof entry, sizeof entry);
    if (entry.slice.block == 0) {
      const channel::Piece bytes = take(rest, entry.slice.size);
      buffers.push_back(std::make_shared<CopiedMemory>(bytes.data(), bytes.size()));
    } else {
      buffers.push_back(std::make_shared<LeasedMemory>(reader.open(entry.slice), entry.read_only != 0));
    }
  }
  return buffers;
}

}  // namespace weft::core
