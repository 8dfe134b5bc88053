// Random messages over a channel, both ways at once, each checked when it arrives: its order, its size and every byte.
//
// Both sides know both seeds, so that each knows what the other one sends.
#pragma once

#include <cstring>
#include <functional>
#include <vector>

#include "channel/channel.hpp"
#include "check.hpp"

namespace weft::test {

// The messages that one side sends, one after the other.
class Messages {
 public:
  Messages(uint64_t from, size_t largest) : random_(from), largest_(largest) { next(); }

  const std::vector<std::byte>& current() const { return bytes_; }
  void next() {
    const size_t kind = random_.below(64);
    const size_t size = kind == 0 ? random_.below(largest_ + 1) : kind < 4 ? 0 : 30 + random_.below(270);
    bytes_.resize(size);
    uint64_t word = random_.next();
    for (size_t at = 0; at < size; at += sizeof word) {
      std::memcpy(bytes_.data() + at, &word, std::min(sizeof word, size - at));
      word = word * 0x9e3779b97f4a7c15u + 1;
    }
  }

 private:
  Random random_;
  const size_t largest_;
  std::vector<std::byte> bytes_;
};

struct Traffic {
  uint64_t out_seed;
  uint64_t in_seed;
  size_t count;  // each way
  size_t largest;
  std::function<void(size_t got)> on_turn = [](size_t) {};
  // A side that expects to be killed.
  static constexpr size_t kEndless = SIZE_MAX;
};

// True: all went and came. False: the other side has gone before that.
inline bool exchange(channel::Channel& channel, const Traffic& traffic) {
  using namespace channel;
  Messages out(traffic.out_seed, traffic.largest);
  Messages in(traffic.in_seed, traffic.largest);
  Random random(traffic.out_seed + 1);
  size_t sent = 0;
  size_t got = 0;
  for (;;) {
    traffic.on_turn(got);
    bool blocked = false;
    for (size_t batch = 1 + random.below(100); sent < traffic.count && batch > 0; --batch) {
      const std::span<const std::byte> bytes(out.current());
      const size_t first = random.below(bytes.size() + 1);
      const size_t second = first + random.below(bytes.size() - first + 1);
      const Piece pieces[] = {bytes.first(first), bytes.subspan(first, second - first), {}, bytes.subspan(second)};
      if (!channel.try_send(pieces)) {
        blocked = true;
        break;
      }
      ++sent;
      out.next();
    }
    blocked = !channel.flush() || blocked;
    for (size_t batch = 1 + random.below(100); batch > 0; --batch) {
      const auto message = channel.peek();
      if (!message) break;
      CHECK_EQ(message->size(), in.current().size());
      CHECK(std::equal(message->begin(), message->end(), in.current().begin()));
      channel.release();
      ++got;
      in.next();
    }
    const bool all_sent = sent == traffic.count && !blocked;
    if (all_sent && got == traffic.count) return true;
    if (sent < traffic.count && !blocked) continue;
    const What what = got == traffic.count ? What::room : blocked ? What::either : What::message;
    switch (channel.wait(what, sync::deadline_after(20 * sync::kSecond))) {
      case Waited::peer_gone:
        return false;
      case Waited::timed_out:
        CHECK(!"nothing came for 20 s");
        break;
      case Waited::ready:
      case Waited::interrupted:
        break;
    }
  }
}

}  // namespace weft::test
