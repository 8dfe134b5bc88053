#include "channel/ring.hpp"

#include <limits>
#include <stdexcept>
#include <utility>

namespace weft::channel {

using detail::frame_size;
using detail::frame_word;
using detail::kFrameAlign;
using detail::kFrameHeader;

namespace {

// SAFETY: positions are multiples of 8 and the ring's data is aligned to 64, so the word lies well; the type has the
// size and the alignment of the integer, and the memory began as zeros, which is a valid one.
sync::Atomic<uint64_t>& word_at(const RingMemory& memory, uint64_t position) {
  static_assert(sizeof(sync::Atomic<uint64_t>) == kFrameHeader && alignof(sync::Atomic<uint64_t>) == kFrameAlign);
  return *reinterpret_cast<sync::Atomic<uint64_t>*>(memory.data + (position & (memory.capacity - 1)));
}

uint64_t left_before_wrap(const RingMemory& memory, uint64_t position) {
  return memory.capacity - (position & (memory.capacity - 1));
}

}  // namespace

// ---- writing ------------------------------------------------------------------------------------------------------

uint64_t RingWriter::room_taken_by(size_t size) const {
  if (size > most()) throw std::length_error("weft: a message that is too long for its ring");
  const uint64_t frame = frame_size(size);
  const uint64_t left = left_before_wrap(memory_, tail_);
  return frame > left ? left + frame : frame;
}

bool RingWriter::has_room(size_t size) {
  const uint64_t taken = room_taken_by(size);
  if (tail_ - head_ + taken <= memory_.capacity) return true;
  // Pairs with the reader's store: what it has released may be written over from here on.
  const uint64_t head = memory_.header->head.load(sync::seq_cst);
  if (head - head_ > tail_ - head_) throw Corrupt("weft: the reader of a ring claims to be where nothing was written");
  head_ = head;
  return tail_ - head_ + taken <= memory_.capacity;
}

std::byte* RingWriter::reserve(size_t size) {
  reserved_ = 0;
  if (!has_room(size)) return nullptr;
  reserved_ = room_taken_by(size);
  length_ = static_cast<uint32_t>(size);
  const uint64_t begin = tail_ + reserved_ - frame_size(size);
  return memory_.data + (begin & (memory_.capacity - 1)) + kFrameHeader;
}

void RingWriter::publish(FrameKind kind) {
  if (reserved_ == 0) throw std::logic_error("weft: publish() without reserve()");
  const uint64_t begin = tail_ + reserved_ - frame_size(length_);
  if (begin != tail_) {
    const auto skipped = static_cast<uint32_t>(begin - tail_ - kFrameHeader);
    word_at(memory_, tail_).store(frame_word(tail_, skipped, FrameKind::skip), sync::relaxed);
  }
  word_at(memory_, begin).store(frame_word(begin, length_, kind), sync::relaxed);
  tail_ += reserved_;
  reserved_ = 0;
  // Publishes all of the above; and comes before the look at whether the reader sleeps.
  memory_.header->tail.store(tail_, sync::seq_cst);
}

bool RingWriter::try_write(std::span<const Piece> pieces, FrameKind kind) {
  const size_t size = size_of(pieces);
  std::byte* room = reserve(size);
  if (room == nullptr) return false;
  copy_pieces(pieces, 0, {room, size});
  publish(kind);
  return true;
}

void RingWriter::want_room(size_t size) {
  const uint64_t taken = room_taken_by(size);
  const uint64_t wanted = tail_ - memory_.capacity + std::max(taken, memory_.capacity / 2);
  memory_.header->wanted.store(wanted, sync::relaxed);  // seen by whoever sees the announcement that follows it
}

// ---- reading ------------------------------------------------------------------------------------------------------

void RingReader::corrupt(const char* what) {
  corrupt_ = what;
  throw Corrupt(what);
}

std::optional<RingReader::Frame> RingReader::peek() {
  if (corrupt_ != nullptr) throw Corrupt(corrupt_);
  for (;;) {
    if (head_ == tail_) {
      const uint64_t tail = memory_.header->tail.load(sync::seq_cst);  // pairs with publish()
      if (tail == head_) return std::nullopt;
      if (tail - head_ > memory_.capacity || tail % kFrameAlign != 0) {
        corrupt("weft: the writer of a ring claims more than fits into it");
      }
      tail_ = tail;
    }
    // Read once: the other side could change it between the check and the use.
    const uint64_t word = word_at(memory_, head_).load(sync::relaxed);
    const auto length = static_cast<uint32_t>(word);
    const auto kind = static_cast<FrameKind>(word >> 32 & 0xffu);
    if (word != frame_word(head_, length, kind)) corrupt("weft: what lies in a ring is not a message of this round");
    const uint64_t size = frame_size(length);
    const uint64_t left = left_before_wrap(memory_, head_);
    if (size > left || size > tail_ - head_) corrupt("weft: a message in a ring is longer than what was written");
    switch (kind) {
      case FrameKind::skip:
        // One that begins at the ring's begin would skip everything, and the next one too.
        if (size != left || left == memory_.capacity) corrupt("weft: a ring skips what it should not");
        head_ += size;
        // Not told to the writer: it goes with the release of the frame behind it, which was published together with
        // it.
        continue;
      case FrameKind::whole:
      case FrameKind::first:
      case FrameKind::more:
        peeked_ = size;
        // SAFETY: size <= left and size <= what was published, so all of it lies in the ring.
        return Frame{kind, {memory_.data + (head_ & (memory_.capacity - 1)) + kFrameHeader, length}};
    }
    corrupt("weft: an unknown kind of message in a ring");
  }
}

void RingReader::release() {
  if (peeked_ == 0) throw std::logic_error("weft: release() without peek()");
  head_ += std::exchange(peeked_, 0);
  // Gives the bytes away; and comes before the look at whether the writer waits for room.
  memory_.header->head.store(head_, sync::seq_cst);
}

bool RingReader::writer_has_room() const {
  // A difference, since positions wrap. A wrong value only makes a wake-up too early or too late for its own writer.
  return static_cast<int64_t>(head_ - memory_.header->wanted.load(sync::relaxed)) >= 0;
}

}  // namespace weft::channel
