// The lane: what is written comes out, whole and in order, or is counted as dropped; memory is bounded.
#include <string>

#include "check.hpp"
#include "trace/lane.hpp"

using namespace weft;
using namespace weft::test;
using trace::Bell;
using trace::Event;
using trace::Lane;
using trace::Outcome;

namespace {

Event event(sync::Nanos number) {
  return {.submitted = number, .started = number + 1, .ended = number + 2, .thread = 7, .pool = 3, .worker = 1, .outcome = Outcome::done};
}

std::shared_ptr<Lane> lane_of(uint32_t chunks) { return std::make_shared<Lane>(7, chunks, std::make_shared<Bell>()); }

// A name whose length and bytes follow from the number: short ones, and some that take many slots.
std::string name_of(uint64_t number) {
  return std::string(number % 13 == 0 ? number % (Lane::kMostName + 1) : number % 40, static_cast<char>('a' + number % 26));
}

struct Reader {
  uint64_t next = 0;
  void operator()(const Event& found, std::string_view name) {
    CHECK_EQ(found.submitted, next);
    CHECK_EQ(found.ended, next + 2);
    CHECK_EQ(found.thread, 7);
    CHECK_EQ(found.pool, 3);
    CHECK(name == name_of(next));
    ++next;
  }
};

}  // namespace

TEST(what_is_written_comes_out_in_order) {
  const auto lane = lane_of(1000);
  Reader reader;
  CHECK_EQ(lane->drain(reader), 0);
  for (uint64_t i = 0; i < 5000; ++i) {
    CHECK(lane->write(event(static_cast<sync::Nanos>(i)), name_of(i)));
    if (i % 1777 == 0) lane->drain(reader);
  }
  lane->drain(reader);
  CHECK_EQ(reader.next, 5000);
  CHECK_EQ(lane->dropped(), 0);
}

TEST(a_full_lane_drops_and_counts) {
  const auto lane = lane_of(2);
  uint64_t written = 0;
  for (uint64_t i = 0; i < 5 * Lane::kChunkSlots; ++i) written += lane->write(event(0), "short") ? 1 : 0;
  CHECK_EQ(written, 2 * Lane::kChunkSlots);
  CHECK_EQ(lane->dropped(), 3 * Lane::kChunkSlots);
  CHECK_EQ(lane->drain([](const Event&, std::string_view) {}), written);
  // There is room again.
  CHECK(lane->write(event(0), "short"));
  CHECK_EQ(lane->drain([](const Event&, std::string_view) {}), 1);
}

TEST(a_long_name_is_cut_between_characters) {
  const auto lane = lane_of(4);
  std::string name(Lane::kMostName - 1, 'x');
  name += "\xc3\xa9 and more";  // its second byte would be one too many
  CHECK(lane->write(event(0), name));
  CHECK(lane->write(event(1), std::string(Lane::kMostName, 'y')));
  size_t lengths[2] = {};
  size_t count = 0;
  lane->drain([&](const Event&, std::string_view found) { lengths[count++] = found.size(); });
  CHECK_EQ(count, 2);
  CHECK_EQ(lengths[0], Lane::kMostName - 1);
  CHECK_EQ(lengths[1], Lane::kMostName);
}

TEST(one_writes_while_the_other_drains) {
  for (size_t round = 0; round < rounds(20); ++round) {
    const auto lane = lane_of(100'000);
    constexpr uint64_t kEvents = 30'000;
    Reader reader;
    std::atomic<bool> written{false};
    on_threads(2, [&](uint32_t me) {
      Random mine(seed() + round * 2 + me);
      if (me == 0) {
        for (uint64_t i = 0; i < kEvents; ++i) {
          CHECK(lane->write(event(static_cast<sync::Nanos>(i)), name_of(i)));
          if (mine.below(500) == 0) mine.dawdle(2000);
        }
        lane->close();
        written.store(true);
        return;
      }
      while (!lane->closed()) {
        lane->drain(reader);
        mine.dawdle(500);
      }
      lane->drain(reader);
    });
    CHECK(written.load());
    CHECK_EQ(reader.next, kEvents);
  }
}

TEST(what_comes_out_and_what_was_dropped_is_all) {
  for (size_t round = 0; round < rounds(20); ++round) {
    const auto lane = lane_of(2);
    constexpr uint64_t kEvents = 20'000;
    uint64_t drained = 0;
    sync::Nanos last = -1;
    on_threads(2, [&](uint32_t me) {
      Random mine(seed() + round * 2 + me);
      if (me == 0) {
        for (uint64_t i = 0; i < kEvents; ++i) (void)lane->write(event(static_cast<sync::Nanos>(i)), "short");
        lane->close();
        return;
      }
      const auto check = [&](const Event& found, std::string_view name) {
        CHECK(found.submitted > last);
        CHECK(name == "short");
        last = found.submitted;
      };
      while (!lane->closed()) {
        drained += lane->drain(check);
        mine.dawdle(5000);
      }
      drained += lane->drain(check);
    });
    CHECK_EQ(drained + lane->dropped(), kEvents);
  }
}

TEST(the_bell_wakes_who_waits) {
  Bell bell;
  bell.ring();
  bell.wait(sync::kForever);  // it was rung before
  on_threads(2, [&](uint32_t me) {
    if (me == 0) {
      bell.ring();
    } else {
      bell.wait(sync::kForever);
    }
  });
  bell.wait(sync::now());  // at once
}
