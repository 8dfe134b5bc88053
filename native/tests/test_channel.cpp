// A channel, each kind of it, with both sides in this process: what is sent arrives, and whoever waits is told why it
// stopped.
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <string>

#include "channel/blocks.hpp"
#include "channel/ends.hpp"
#include "channel/joiner.hpp"
#include "channel_traffic.hpp"
#include "check.hpp"
#include "resources.hpp"

using namespace weft;
using namespace weft::test;
using namespace weft::channel;
using Prefer = ChannelOptions::Prefer;

namespace {

#if defined(__linux__)
constexpr Prefer kKinds[] = {Prefer::shared, Prefer::pipe};
#else
constexpr Prefer kKinds[] = {Prefer::pipe};
#endif

struct Both {
  explicit Both(Prefer kind, size_t ring_size = 4096, bool spins = true) {
    ChannelPair pair = make_pair({.prefer = kind, .ring_size = ring_size, .spins = spins});
    parent = std::move(pair.parent);
    child = attach(pair.child.release(), spins);
  }
  std::unique_ptr<Channel> parent;
  std::unique_ptr<Channel> child;
};

bool send(Channel& channel, std::string_view text) {
  const Piece piece = std::as_bytes(std::span(text));
  return channel.try_send({&piece, 1});
}

void expect(Channel& channel, std::string_view text) {
  const auto message = channel.peek();
  CHECK(message.has_value());
  // SAFETY: characters may be looked at through any bytes.
  CHECK(std::string_view(reinterpret_cast<const char*>(message->data()), message->size()) == text);
  channel.release();
}

sync::Nanos soon() { return sync::deadline_after(10 * sync::kSecond); }

}  // namespace

TEST(messages_go_both_ways_in_order) {
  const NothingIsLeft nothing_is_left;
  for (const Prefer kind : kKinds) {
    Both both(kind);
    CHECK(!both.child->peek());
    CHECK(send(*both.parent, "one") && send(*both.parent, "") && send(*both.parent, "three"));
    CHECK(both.parent->flush());
    CHECK(both.child->wait(What::message, soon()) == Waited::ready);
    for (const auto* text : {"one", "", "three"}) expect(*both.child, text);
    CHECK(!both.child->peek());
    CHECK(send(*both.child, "back"));
    CHECK(both.child->flush());
    CHECK(both.parent->wait(What::either, soon()) == Waited::ready);
    CHECK(both.parent->wait(What::message, soon()) == Waited::ready);
    expect(*both.parent, "back");
  }
}

TEST(a_full_channel_says_no_and_then_there_is_room) {
  for (const Prefer kind : kKinds) {
    Both both(kind);
    const std::string text(1000, 'x');
    size_t sent = 0;
    while (send(*both.parent, text)) CHECK(++sent < 100'000);
    CHECK(!both.parent->is_sending());
    CHECK(both.parent->wait(What::room, sync::deadline_after(sync::kMillisecond)) == Waited::timed_out);
    std::thread reader([&] {
      for (size_t i = 0; i < sent; ++i) {
        while (!both.child->peek()) CHECK(both.child->wait(What::message, soon()) == Waited::ready);
        expect(*both.child, text);
      }
      while (!both.child->peek()) CHECK(both.child->wait(What::message, soon()) == Waited::ready);
      expect(*both.child, "the last");
    });
    CHECK(both.parent->wait(What::room, soon()) == Waited::ready);
    CHECK(send(*both.parent, "the last"));
    while (!both.parent->flush()) CHECK(both.parent->wait(What::room, soon()) == Waited::ready);
    reader.join();
  }
}

TEST(a_message_larger_than_everything_goes_in_parts) {
  for (const Prefer kind : kKinds) {
    Both both(kind);
    std::string text(3'000'000, ' ');
    Random random(seed());
    for (char& character : text) character = static_cast<char>(random.next() >> 20);
    CHECK(text.size() > both.parent->most_at_once());
    CHECK(!send(*both.parent, text));
    CHECK(both.parent->is_sending());
    bool refused = false;
    try {
      (void)send(*both.parent, "in between");
    } catch (const std::logic_error&) {
      refused = true;
    }
    CHECK(refused);
    std::thread sender([&] {
      while (!send(*both.parent, text)) CHECK(both.parent->wait(What::room, soon()) == Waited::ready);
      CHECK(!both.parent->is_sending());
      CHECK(send(*both.parent, "after"));
      CHECK(both.parent->flush());
    });
    CHECK(both.child->wait(What::message, soon()) == Waited::ready);
    expect(*both.child, text);
    CHECK(both.child->wait(What::message, soon()) == Waited::ready);
    expect(*both.child, "after");
    sender.join();
  }
}

TEST(what_was_sent_before_the_end_still_arrives) {
  const NothingIsLeft nothing_is_left;
  for (const Prefer kind : kKinds) {
    for (const bool the_child_goes : {true, false}) {
      Both both(kind);
      std::unique_ptr<Channel>& goes = the_child_goes ? both.child : both.parent;
      Channel& stays = the_child_goes ? *both.parent : *both.child;
      CHECK(send(*goes, "last words"));
      CHECK(goes->flush());
      goes.reset();
      CHECK(stays.wait(What::message, soon()) == Waited::ready);
      expect(stays, "last words");
      CHECK(stays.wait(What::message, sync::kForever) == Waited::peer_gone);
      CHECK(stays.wait(What::message, sync::kForever) == Waited::peer_gone);
      // Nor is there room for ever: a sender ends too.
      while (send(stays, std::string(1000, 'x'))) {
      }
      CHECK(stays.wait(What::room, sync::kForever) == Waited::peer_gone);
      CHECK(stays.wait(What::either, sync::kForever) == Waited::peer_gone);
    }
  }
}

TEST(half_a_message_is_none) {
  for (const Prefer kind : kKinds) {
    Both both(kind);
    CHECK(!send(*both.child, std::string(2'000'000, 'x')));
    both.child.reset();
    CHECK(both.parent->wait(What::message, sync::kForever) == Waited::peer_gone);
    CHECK(!both.parent->peek());
  }
}

TEST(a_wait_times_out_and_can_be_woken) {
  for (const Prefer kind : kKinds) {
    for (const bool spins : {true, false}) {
      Both both(kind, 4096, spins);
      CHECK(both.parent->wait(What::message, 0) == Waited::timed_out);
      CHECK(both.parent->wait(What::message, sync::deadline_after(2 * sync::kMillisecond)) == Waited::timed_out);
      // Before the wait, and, as the other thread happens to come, before it, at its begin, or in its sleep.
      both.parent->wake();
      CHECK(both.parent->wait(What::message, soon()) == Waited::interrupted);
      for (size_t round = 0; round < rounds(200); ++round) {
        std::thread waker([&] {
          Random(seed() + round).dawdle(3000);
          both.parent->wake();
        });
        CHECK(both.parent->wait(What::message, soon()) == Waited::interrupted);
        waker.join();
      }
      CHECK(both.parent->wait(What::message, 0) == Waited::timed_out);  // one answer for each
    }
  }
}

TEST(a_signal_interrupts_a_wait) {
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) {};
  CHECK_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  for (const Prefer kind : kKinds) {
    Both both(kind);
    const pthread_t waiter = ::pthread_self();
    std::atomic<bool> over{false};
    std::thread sender([&] {
      while (!over.load()) {
        ::pthread_kill(waiter, SIGUSR1);
        std::this_thread::yield();
      }
    });
    CHECK(both.parent->wait(What::message, soon()) == Waited::interrupted);
    over.store(true);
    sender.join();
  }
  CHECK_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(parts_that_do_not_fit_together_are_corrupt) {
  const auto is_corrupt = [](std::initializer_list<RingReader::Frame> frames) {
    Joiner joiner;
    try {
      for (const RingReader::Frame& frame : frames) joiner.add(frame);
    } catch (const Corrupt&) {
      return true;
    }
    CHECK(joiner.is_joining());
    return false;
  };
  const auto first = [](uint64_t total) {
    std::vector<std::byte> bytes(20);
    std::memcpy(bytes.data(), &total, sizeof total);
    return bytes;
  };
  const std::vector<std::byte> some(10), none = first(0), nine = first(9), thirty = first(30);
  const std::vector<std::byte> huge = first(~uint64_t{0});
  const std::vector<std::byte> claims = first(Channel::kMostMessage);
  CHECK(!is_corrupt({{FrameKind::first, thirty}, {FrameKind::more, some}}));
  CHECK(!is_corrupt({{FrameKind::first, claims}}));  // takes memory for what has come, not for what is claimed
  CHECK(is_corrupt({{FrameKind::more, some}}));
  CHECK(is_corrupt({{FrameKind::first, none}}));
  CHECK(is_corrupt({{FrameKind::first, huge}}));
  CHECK(is_corrupt({{FrameKind::first, nine}}));
  CHECK(is_corrupt({{FrameKind::first, {some.data(), 7}}}));
  CHECK(is_corrupt({{FrameKind::first, thirty}, {FrameKind::first, thirty}}));
  CHECK(is_corrupt({{FrameKind::first, thirty}, {FrameKind::more, thirty}}));
  CHECK(is_corrupt({{FrameKind::first, thirty}, {FrameKind::more, {}}}));
}

TEST(garbage_in_a_socket_is_corrupt) {
  DescriptorPair ends = make_socket_pair(false);
  const uint64_t size = Channel::kMostMessage + 1;
  CHECK_EQ(::write(ends.second.get(), &size, sizeof size), sizeof size);
  const std::unique_ptr<Channel> channel =
      attach(ChannelEnds{.kind = ChannelKind::pipe, .socket = ends.first.release()}, true);
  for (int i = 0; i < 2; ++i) {
    bool corrupt = false;
    try {
      (void)channel->wait(What::message, soon());
    } catch (const Corrupt&) {
      corrupt = true;
    }
    CHECK(corrupt);
  }
}

TEST(without_shared_memory_it_is_a_pipe_and_says_why) {
  const NothingIsLeft nothing_is_left;
#if defined(__linux__)
  rlimit before{};
  CHECK_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit less = before;
  less.rlim_cur = 1024;
  CHECK_EQ(::setrlimit(RLIMIT_FSIZE, &less), 0);
#endif
  const ChannelPair pair = make_pair({});
  CHECK(pair.kind == ChannelKind::pipe);
  CHECK(pair.parent->block_socket() == -1);
  CHECK(pair.no_shared_memory.value() != 0);
  CHECK(pair.no_shared_memory_because.find("shared memory") != std::string::npos);
#if defined(__linux__)
  CHECK_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  CHECK(make_pair({}).kind == ChannelKind::shared);
#endif
}

// One message at a time, so that each one that is slept over ends the test; at the edge of sleep, where it could be.
TEST(no_message_is_slept_over) {
  for (const Prefer kind : kKinds) {
    Both both(kind, 256, false);
    const sync::Nanos end = sync::deadline_after(sync::kSecond * 6 / 10);
    on_threads(2, [&](uint32_t me) {
      Channel& mine = me == 0 ? *both.parent : *both.child;
      Random random(seed() + me);
      for (bool over = false; !over;) {
        if (me == 0) over = sync::now() > end;
        if (me == 0) CHECK(send(mine, over ? "over" : "on") && mine.flush());
        while (!mine.peek()) {
          const Waited waited = mine.wait(What::message, soon());
          CHECK(waited == Waited::ready || waited == Waited::interrupted);
        }
        if (me == 1) over = mine.peek()->size() == 4;
        mine.release();
        random.dawdle(200);
        if (me == 1) CHECK(send(mine, "answer") && mine.flush());
      }
    });
  }
}

TEST(random_messages_both_ways_at_once) {
  for (const Prefer kind : kKinds) {
    for (const bool spins : {true, false}) {
      for (const size_t ring_size : {size_t{1024}, size_t{65536}}) {
        Both both(kind, ring_size, spins);
        const size_t count = rounds(6000);
        on_threads(2, [&](uint32_t me) {
          Channel& mine = me == 0 ? *both.parent : *both.child;
          CHECK(exchange(mine, {seed() + me, seed() + 1 - me, count, 20'000}));
        });
      }
    }
  }
}
