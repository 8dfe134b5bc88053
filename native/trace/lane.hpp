// A lane: the events of one thread on their way to the one thread that drains them.
//
// One producer, one consumer, no lock: a chain of chunks. The producer appends at one end and publishes with one store;
// the consumer reads at the other and hands emptied chunks back. Bounded: beyond `most_chunks` events are dropped and
// counted, never waited for. Names are copied in, so that nothing of what the producer works with is ever touched by the
// consumer.
//
// Ends: the producer closes it (its thread ends), or the consumer retires it (nobody will drain it any more). Both
// sides hold it by shared_ptr; what is still in it then is lost.
// Why it works: PROTOCOL.md. Pinned by native/tests/test_trace_lane.cpp.
#pragma once

#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

#include "sync/parking.hpp"
#include "trace/event.hpp"

namespace weft::trace {

// How a producer wakes the consumer, which may be gone by then: so it is an object of its own.
class Bell {
 public:
  // Any thread.
  void ring() {
    if (word_.exchange(1, sync::seq_cst) == 0) sync::unpark_one(word_);
  }
  // The consumer: returns when it was rung since the last wait, or at the deadline.
  void wait(sync::Nanos deadline) {
    while (word_.exchange(0, sync::seq_cst) == 0 && sync::now() < deadline) sync::park(word_, 0, deadline);
  }

 private:
  sync::ParkWord word_{0};
};

class Lane {
 public:
  static constexpr size_t kSlotBytes = 64;
  static constexpr uint32_t kChunkSlots = 512;
  static constexpr size_t kChunkBytes = kSlotBytes * kChunkSlots;
  static constexpr size_t kMostName = 1000;  // bytes; what is longer is cut

  Lane(uint64_t thread, uint32_t most_chunks, std::shared_ptr<Bell> bell);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  const uint64_t thread;  // the system's id of the producer

  // --- the producer ---
  // False: there was no room, and it was counted.
  bool write(const Event& event, std::string_view name) {
    if (name.size() > kMostName) name = cut(name);
    const uint32_t slots = slots_for(name.size());
    if (kChunkSlots - at_ < slots && !begin_chunk()) {
      dropped_.store(dropped_.load(sync::relaxed) + 1, sync::relaxed);
      return false;
    }
    char* slot = tail_->slot(at_);
    const auto name_bytes = static_cast<uint16_t>(name.size());
    // slots_for() says how many slots in a row the name takes, and they are in this chunk.
    std::memcpy(slot, &event, sizeof event);
    std::memcpy(slot + sizeof event, &name_bytes, sizeof name_bytes);
    std::memcpy(slot + kNameOffset, name.data(), name.size());
    at_ += slots;
    tail_->filled.store(at_, sync::release);
    return true;
  }
  void close() { closed_.store(true, sync::release); }
  // What the producer remembers from one event to the next.
  uint64_t pool_key = 0;
  uint32_t pool = 0;

  // --- the consumer ---
  template <class Visit>
  size_t drain(Visit&& visit) {
    size_t count = 0;
    for (;;) {
      // First whether the producer has moved on, then how far it had come: if it has, that is final.
      Chunk* next = head_->next.load(sync::acquire);
      const uint32_t filled = head_->filled.load(sync::acquire);
      while (read_ < filled) {
        const char* slot = head_->slot(read_);
        Event event;
        uint16_t name_bytes;
        std::memcpy(&event, slot, sizeof event);
        std::memcpy(&name_bytes, slot + sizeof event, sizeof name_bytes);
        visit(event, std::string_view(slot + kNameOffset, name_bytes));
        read_ += slots_for(name_bytes);
        ++count;
      }
      if (next == nullptr) return count;
      recycle(std::exchange(head_, next));
      read_ = 0;
    }
  }
  bool closed() const { return closed_.load(sync::acquire); }
  void retire() { retired_.store(true, sync::release); }

  // --- anybody ---
  bool retired() const { return retired_.load(sync::acquire); }
  uint64_t dropped() const { return dropped_.load(sync::relaxed); }

 private:
  // An event lies in as many slots in a row as its name needs: the Event, the name's length, the name.
  static constexpr size_t kNameOffset = sizeof(Event) + sizeof(uint16_t);
  static_assert(kNameOffset < kSlotBytes && std::is_trivially_copyable_v<Event>);

  struct Chunk {
    sync::Atomic<Chunk*> next{nullptr};
    sync::Atomic<uint32_t> filled{0};  // slots
    alignas(kSlotBytes) char bytes[kSlotBytes * kChunkSlots];

    char* slot(uint32_t index) { return bytes + index * kSlotBytes; }
  };

  static constexpr uint32_t slots_for(size_t name_bytes) {
    return static_cast<uint32_t>((kNameOffset + name_bytes + kSlotBytes - 1) / kSlotBytes);
  }
  static std::string_view cut(std::string_view name);
  bool begin_chunk();
  void recycle(Chunk*);

  const uint32_t most_chunks_;
  const std::shared_ptr<Bell> bell_;

  // The producer's.
  alignas(64) Chunk* tail_;
  uint32_t at_ = 0;  // slots taken in tail_
  sync::Atomic<uint64_t> dropped_{0};

  // The consumer's.
  alignas(64) Chunk* head_;
  uint32_t read_ = 0;

  // Both.
  alignas(64) sync::Atomic<Chunk*> spare_{nullptr};
  sync::Atomic<uint32_t> chunks_{1};  // in the chain
  sync::Atomic<bool> closed_{false};
  sync::Atomic<bool> retired_{false};
};

}  // namespace weft::trace
