// A parallel loop: a range cut into chunks, which whoever takes part takes from one cursor until none is left.
//
// Any number of threads may call take_part or step, each with a Share of its own, and may come late or not at all. A
// chunk is worked on in steps of `grain` units, so that stop() is heard soon whatever the size of the chunks.
//
// Chunking decides how the range is cut, never what is computed: what depends on order (a sum of floats) is cut by
// length alone, see reduce.hpp.
//
// Ends: when the last chunk is taken and its taker has stepped through it. The owner must know that nobody takes part
// any more before the loop goes (Team). Pinned by native/tests/test_kernels_loop.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "sync/atomic.hpp"

namespace weft::kernels {

enum class ChunkKind : uint8_t { automatic, fixed, dynamic, guided };

// How to cut a range; size 0 means the kind's default, counted in elements.
struct Chunking {
  ChunkKind kind = ChunkKind::automatic;
  size_t size = 0;
};

// Elements that are worth a chunk of their own: some 20 µs of the cheapest kernel, twice what a helper costs to call.
inline constexpr size_t kLeastChunk = 131072;

// Hands out [begin, end) pieces of [0, count), each once, in rising order.
class Dispenser {
 public:
  // `scale` elements make a unit of this range (1, or the size of a block).
  Dispenser(size_t count, Chunking chunking, size_t parts, size_t scale)
      : count_(count), parts_(std::max<size_t>(parts, 1)), guided_(chunking.kind == ChunkKind::guided), limit_(count) {
    const size_t asked = chunking.size == 0 ? 0 : (chunking.size - 1) / scale + 1;
    const size_t least = (kLeastChunk - 1) / scale + 1;
    size_t size = asked;
    if (chunking.kind == ChunkKind::automatic) {
      size = std::max(asked != 0 ? asked : least, divided(count, parts_ * 4));
    } else if (chunking.kind == ChunkKind::fixed && asked == 0) {
      size = divided(count, parts_);
    } else if (asked == 0) {
      size = least;
    }
    // Every thread that asks in vain moves the cursor on by one chunk: it stays far from wrapping around.
    size_ = std::clamp<size_t>(size, 1, std::max<size_t>(count, 1));
  }

  bool next(size_t& begin, size_t& end) {
    if (!guided_) {
      if (cursor_.load(sync::relaxed) >= limit_.load(sync::relaxed)) return false;
      begin = cursor_.fetch_add(size_, sync::relaxed);
    } else {
      begin = cursor_.load(sync::relaxed);
      size_t size;
      do {
        if (begin >= limit_.load(sync::relaxed)) return false;
        size = std::max(size_, (count_ - begin) / (parts_ * 2));
      } while (!cursor_.compare_exchange_weak(begin, begin + size, sync::relaxed, sync::relaxed));
      end = std::min(begin + size, count_);
      return true;
    }
    if (begin >= limit_.load(sync::relaxed)) return false;
    end = std::min(begin + size_, count_);
    return true;
  }

  // Nothing that begins at `at` or after it is handed out from now on.
  void close_at(size_t at) {
    size_t limit = limit_.load(sync::relaxed);
    while (at < limit && !limit_.compare_exchange_weak(limit, at, sync::relaxed, sync::relaxed)) {
    }
  }

  size_t size() const { return size_; }
  size_t most_chunks() const { return divided(count_, size_); }  // guided gives fewer

 private:
  static size_t divided(size_t a, size_t b) { return a / b + (a % b != 0); }

  const size_t count_;
  const size_t parts_;
  const bool guided_;
  size_t size_;
  alignas(64) sync::Atomic<size_t> cursor_{0};
  alignas(64) sync::Atomic<size_t> limit_;
};

class Loop {
 public:
  using Body = void (*)(void* context, size_t begin, size_t end);

  // `grain`: units in a step. `scale`: elements in a unit.
  Loop(size_t count, size_t grain, size_t scale, Chunking chunking, size_t parts, Body body, void* context)
      : dispenser_(count, chunking, parts, scale), grain_(std::max<size_t>(grain, 1)), body_(body), context_(context) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // What one participant still has of its chunk.
  struct Share {
    size_t begin = 0;
    size_t end = 0;
  };

  // One step. False: there is nothing left to take.
  bool step(Share& share) {
    if (stopped()) return false;
    if (share.begin == share.end && !dispenser_.next(share.begin, share.end)) return false;
    const size_t end = share.end - share.begin > grain_ ? share.begin + grain_ : share.end;
    body_(context_, share.begin, end);
    share.begin = end;
    return true;
  }
  void take_part() {
    Share share;
    while (step(share)) {
    }
  }

  // Breaks it off: chunks that were begun are left half done.
  void stop() { stopped_.store(true, sync::relaxed); }
  bool stopped() const { return stopped_.load(sync::relaxed); }
  // What lies before `at` is still done; what was begun behind it is finished.
  void close_at(size_t at) { dispenser_.close_at(at); }
  size_t most_chunks() const { return dispenser_.most_chunks(); }

 private:
  Dispenser dispenser_;
  const size_t grain_;
  const Body body_;
  void* const context_;
  sync::Atomic<bool> stopped_{false};
};

// Who takes part in loops, one loop at a time.
class Team {
 public:
  virtual ~Team() = default;
  virtual size_t size() const = 0;  // at most so many threads at once, the caller among them
  // Returns when the loop has ended and nobody touches it any more. False: it was stopped.
  [[nodiscard]] virtual bool run(Loop&) = 0;
};

// The calling thread alone.
class Alone final : public Team {
 public:
  size_t size() const override { return 1; }
  bool run(Loop& loop) override {
    loop.take_part();
    return !loop.stopped();
  }
};

// Runs `body(begin, end)`, on the whole range in the end, unless the loop is stopped (false). `body` is given the loop
// too if it takes three arguments.
template <class Body>
[[nodiscard]] bool parallel_for(Team& team, size_t count, size_t grain, size_t scale, Chunking chunking, Body&& body) {
  if (count == 0) return true;
  struct Context {
    Body& body;
    Loop* loop;
  } context{body, nullptr};
  const auto call = [](void* given, size_t begin, size_t end) {
    auto& known = *static_cast<Context*>(given);
    if constexpr (requires { known.body(begin, end, *known.loop); }) {
      known.body(begin, end, *known.loop);
    } else {
      known.body(begin, end);
    }
  };
  Loop loop(count, grain, scale, chunking, team.size(), call, &context);
  context.loop = &loop;
  return team.run(loop);
}

}  // namespace weft::kernels
