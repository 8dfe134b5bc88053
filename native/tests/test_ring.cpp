// The ring: what is published comes out, whole and in order, wherever it wraps; what is not published, and what a
// broken process scribbled, does not.
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "channel/ring.hpp"
#include "check.hpp"

using namespace weft;
using namespace weft::test;
using namespace weft::channel;

namespace {

struct Memory {
  explicit Memory(size_t size) : capacity(size), data(new(std::align_val_t{64}) std::byte[size]{}) {}
  ~Memory() { ::operator delete[](data, std::align_val_t{64}); }
  RingMemory ring() { return {&header, data, capacity}; }

  RingHeader header;
  const size_t capacity;
  std::byte* const data;
};

std::vector<std::byte> message(uint64_t number, size_t size) {
  std::vector<std::byte> bytes(size);
  Random random(number + 1);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next() >> 24);
  return bytes;
}

bool write(RingWriter& writer, const std::vector<std::byte>& bytes) {
  const Piece piece(bytes);
  return writer.try_write({&piece, 1});
}

void expect(RingReader& reader, const std::vector<std::byte>& bytes) {
  const auto frame = reader.peek();
  CHECK(frame.has_value());
  CHECK(frame->kind == FrameKind::whole);
  CHECK_EQ(frame->bytes.size(), bytes.size());
  CHECK(std::equal(bytes.begin(), bytes.end(), frame->bytes.begin()));
  reader.release();
}

template <class Body>
bool is_corrupt(Body&& body) {
  try {
    body();
  } catch (const Corrupt&) {
    return true;
  }
  return false;
}

}  // namespace

TEST(every_length_fits_at_every_position) {
  Memory memory(256);
  RingWriter writer(memory.ring());
  RingReader reader(memory.ring());
  CHECK_EQ(writer.most(), 120);
  for (size_t step = 0; step <= 40; step += 8) {
    for (size_t size = 0; size <= writer.most(); ++size) {
      CHECK(write(writer, message(step, step)));  // moves the position on
      expect(reader, message(step, step));
      CHECK(write(writer, message(size, size)));
      expect(reader, message(size, size));
      CHECK(!reader.peek());
    }
  }
}

TEST(a_ring_can_be_exactly_full) {
  Memory memory(256);
  RingWriter writer(memory.ring());
  RingReader reader(memory.ring());
  for (size_t round = 0; round < 5; ++round) {
    for (uint64_t i = 0; i < 16; ++i) CHECK(write(writer, message(i, 8)));
    CHECK(!write(writer, {}));
    CHECK(!writer.has_room(0));
    expect(reader, message(0, 8));
    CHECK(writer.has_room(8));
    CHECK(!writer.has_room(9));
    CHECK(write(writer, message(16, 8)));
    for (uint64_t i = 1; i <= 16; ++i) expect(reader, message(i, 8));
    CHECK(!reader.peek());
  }
}

TEST(empty_messages_are_messages) {
  Memory memory(256);
  RingWriter writer(memory.ring());
  RingReader reader(memory.ring());
  for (size_t round = 0; round < 3; ++round) {
    size_t count = 0;
    while (writer.try_write({})) ++count;
    CHECK_EQ(count, 32);
    while (count-- > 0) expect(reader, {});
    CHECK(!reader.peek());
  }
}

TEST(a_message_that_is_too_long_is_the_callers_mistake) {
  Memory memory(256);
  RingWriter writer(memory.ring());
  bool refused = false;
  try {
    (void)write(writer, message(0, writer.most() + 1));
  } catch (const std::length_error&) {
    refused = true;
  }
  CHECK(refused);
}

TEST(pieces_are_laid_end_to_end) {
  Memory memory(256);
  RingWriter writer(memory.ring());
  RingReader reader(memory.ring());
  const auto whole = message(3, 57);
  const std::span<const std::byte> bytes(whole);
  const Piece pieces[] = {bytes.first(1), {}, bytes.subspan(1, 40), bytes.subspan(41)};
  CHECK(writer.try_write(pieces));
  expect(reader, whole);
}

TEST(what_is_not_published_is_not_seen) {
  Memory memory(256);
  RingWriter writer(memory.ring());
  RingReader reader(memory.ring());
  std::byte* room = writer.reserve(32);
  CHECK(room != nullptr);
  std::memset(room, 0x5a, 32);
  CHECK(!reader.peek());
  // Reserved anew: the first is forgotten.
  room = writer.reserve(5);
  std::memcpy(room, "hello", 5);
  writer.publish();
  const auto frame = reader.peek();
  CHECK(frame && frame->bytes.size() == 5 && std::memcmp(frame->bytes.data(), "hello", 5) == 0);
}

TEST(a_full_ring_says_when_there_is_room_again) {
  Memory memory(256);
  RingWriter writer(memory.ring());
  RingReader reader(memory.ring());
  while (write(writer, message(0, 8))) {
  }
  writer.want_room(8);
  size_t released = 0;
  while (!reader.writer_has_room()) {
    expect(reader, message(0, 8));
    ++released;
  }
  CHECK_EQ(released, 8);  // half of it, so that a wake-up is worth it
  // The longest one needs more than half where it has to skip; and is never told too early, nor never.
  for (size_t offset = 0; offset < 32; ++offset) {
    CHECK(write(writer, message(0, 0)));
    while (write(writer, message(0, 8))) {
    }
    writer.want_room(writer.most());
    while (!reader.writer_has_room()) {
      CHECK(reader.peek().has_value());
      reader.release();
    }
    CHECK(writer.has_room(writer.most()));
  }
}

TEST(what_cannot_be_is_corrupt) {
  const auto with = [](auto&& scribble) {
    Memory memory(256);
    RingWriter writer(memory.ring());
    RingReader reader(memory.ring());
    CHECK(write(writer, message(1, 24)));
    scribble(memory);
    const bool found = is_corrupt([&] { (void)reader.peek(); });
    CHECK_EQ(found, is_corrupt([&] { (void)reader.peek(); }));  // and stays so
    return found;
  };
  const auto word = [](Memory& memory, uint64_t value) { std::memcpy(memory.data, &value, sizeof value); };
  CHECK(!with([](Memory&) {}));
  CHECK(with([](Memory& memory) { memory.header.tail.store(33); }));
  CHECK(with([](Memory& memory) { memory.header.tail.store(264); }));
  CHECK(with([](Memory& memory) { memory.header.tail.store(~uint64_t{7}); }));
  CHECK(with([](Memory& memory) { memory.header.tail.store(24); }));  // less than the message
  CHECK(with([&](Memory& memory) { word(memory, 0); }));
  CHECK(with([&](Memory& memory) { word(memory, detail::frame_word(0, 25, FrameKind::whole)); }));
  CHECK(with([&](Memory& memory) { word(memory, detail::frame_word(0, 0xffffffffu, FrameKind::whole)); }));
  CHECK(with([&](Memory& memory) { word(memory, detail::frame_word(256, 24, FrameKind::whole)); }));
  CHECK(with([&](Memory& memory) { word(memory, detail::frame_word(0, 24, FrameKind::skip)); }));
  CHECK(with([&](Memory& memory) { word(memory, detail::frame_word(0, 24, static_cast<FrameKind>(9))); }));
  CHECK(with([&](Memory& memory) {
    memory.header.tail.store(256);
    word(memory, detail::frame_word(0, 248, FrameKind::skip));  // all of the ring
  }));

  Memory memory(256);
  RingWriter writer(memory.ring());
  while (write(writer, message(0, 8))) {
  }
  memory.header.head.store(264);
  CHECK(is_corrupt([&] { (void)writer.has_room(8); }));
}

TEST(a_scribbled_ring_never_reads_outside_and_ends) {
  Random random(seed());
  for (size_t round = 0; round < rounds(20000); ++round) {
    Memory memory(256);
    RingWriter writer(memory.ring());
    RingReader reader(memory.ring());
    for (size_t i = random.below(40); i > 0; --i) {
      (void)write(writer, message(i, random.below(60)));
      if (random.below(3) == 0 && reader.peek()) reader.release();
    }
    for (size_t i = 1 + random.below(4); i > 0; --i) {
      switch (random.below(3)) {
        case 0:
          memory.header.tail.store(memory.header.tail.load() + random.below(64) * 8 - 128);
          break;
        case 1:
          memory.header.head.store(random.below(2) == 0 ? random.next() : random.below(512));
          break;
        default:
          memory.data[random.below(256)] = static_cast<std::byte>(random.next() >> 24);
      }
    }
    size_t reads = 0;
    (void)is_corrupt([&] {
      while (const auto frame = reader.peek()) {
        CHECK(frame->bytes.data() >= memory.data);
        CHECK(frame->bytes.data() + frame->bytes.size() <= memory.data + 256);
        reader.release();
        CHECK(++reads <= 256 / 8 + 1);
      }
    });
    (void)is_corrupt([&] {
      for (int i = 0; i < 40; ++i) (void)write(writer, message(1, random.below(60)));
    });
  }
}

TEST(one_writes_while_the_other_reads) {
  for (const size_t capacity : {size_t{256}, size_t{4096}}) {
    Memory memory(capacity);
    const size_t count = rounds(120'000);
    on_threads(2, [&](uint32_t me) {
      Random sizes(seed() + capacity);  // the same for both
      if (me == 0) {
        RingWriter writer(memory.ring());
        for (uint64_t i = 0; i < count; ++i) {
          const size_t size = sizes.below(sizes.below(16) == 0 ? writer.most() + 1 : 40);
          wait_until([&] { return writer.has_room(size); });
          std::byte* const room = writer.reserve(size);
          for (size_t byte = 0; byte < size; ++byte) room[byte] = static_cast<std::byte>(i + byte);
          writer.publish();
        }
      } else {
        RingReader reader(memory.ring());
        for (uint64_t i = 0; i < count; ++i) {
          const size_t size = sizes.below(sizes.below(16) == 0 ? capacity / 2 - 7 : 40);
          wait_until([&] { return reader.peek().has_value(); });
          const auto frame = reader.peek();
          CHECK_EQ(frame->bytes.size(), size);
          for (size_t byte = 0; byte < size; ++byte) CHECK(frame->bytes[byte] == static_cast<std::byte>(i + byte));
          reader.release();
        }
        CHECK(!reader.peek());
      }
    });
  }
}
