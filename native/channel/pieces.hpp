// A message as its sender has it: pieces of memory that are one message when laid end to end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace weft::channel {

using Piece = std::span<const std::byte>;

inline size_t size_of(std::span<const Piece> pieces) {
  size_t size = 0;
  for (const Piece& piece : pieces) size += piece.size();
  return size;
}

// Copies `into.size()` bytes of the message, from byte `offset` on; the message has that many.
inline void copy_pieces(std::span<const Piece> pieces, size_t offset, std::span<std::byte> into) {
  for (const Piece& piece : pieces) {
    if (into.empty()) return;
    if (offset >= piece.size()) {
      offset -= piece.size();
      continue;
    }
    const size_t size = std::min(piece.size() - offset, into.size());
    std::memcpy(into.data(), piece.data() + offset, size);
    into = into.subspan(size);
    offset = 0;
  }
}

}  // namespace weft::channel
