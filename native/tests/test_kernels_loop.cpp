// Loops and their chunks: every index once, whatever the chunking, the number of threads and who comes late; and meetings
// that close while others come.
#include <memory>
#include <optional>
#include <vector>

#include "kernels/meeting.hpp"
#include "team.hpp"

using namespace weft;
using namespace weft::test;
using namespace weft::kernels;

namespace {

const ChunkKind kKinds[] = {ChunkKind::automatic, ChunkKind::fixed, ChunkKind::dynamic, ChunkKind::guided};

struct Visits {
  explicit Visits(size_t count) : of(count) {}
  std::vector<std::atomic<uint32_t>> of;
};

}  // namespace

TEST(every_index_once) {
  for (size_t round = 0; round < rounds(60); ++round) {
    Random random(seed() + round);
    const size_t count = random.below(5) == 0 ? random.below(4) : random.below(200'000);
    const Chunking chunking{kKinds[random.below(4)], random.below(3) == 0 ? 0 : 1 + random.below(count + 5)};
    const size_t grain = 1 + random.below(3000);
    Threads team(static_cast<uint32_t>(1 + random.below(8)));
    Visits visits(count);
    const bool whole = parallel_for(team, count, grain, 1 + random.below(3), chunking, [&](size_t begin, size_t end) {
      CHECK(begin < end && end <= count && end - begin <= grain);
      for (size_t i = begin; i < end; ++i) visits.of[i].fetch_add(1);
    });
    CHECK(whole);
    for (auto& visit : visits.of) CHECK_EQ(visit.load(), 1);
  }
}

TEST(the_largest_sizes_do_not_wrap) {
  for (ChunkKind kind : kKinds) {
    Dispenser dispenser(10, {kind, SIZE_MAX}, 4, 1);
    size_t begin, end;
    for (int i = 0; i < 3; ++i) {
      const bool got = dispenser.next(begin, end);
      CHECK_EQ(got, i == 0);
      if (got) CHECK_EQ(end - begin, 10);
    }
  }
}

TEST(chunks_are_as_asked) {
  size_t begin, end;
  Dispenser fixed(100, {ChunkKind::fixed, 0}, 3, 1);
  std::vector<size_t> sizes;
  while (fixed.next(begin, end)) sizes.push_back(end - begin);
  CHECK(sizes == (std::vector<size_t>{34, 34, 32}));
  Dispenser dynamic(100, {ChunkKind::dynamic, 30}, 3, 1);
  sizes.clear();
  while (dynamic.next(begin, end)) sizes.push_back(end - begin);
  CHECK(sizes == (std::vector<size_t>{30, 30, 30, 10}));
  Dispenser guided(64, {ChunkKind::guided, 4}, 2, 1);
  sizes.clear();
  while (guided.next(begin, end)) sizes.push_back(end - begin);
  CHECK(sizes == (std::vector<size_t>{16, 12, 9, 6, 5, 4, 4, 4, 4}));
  Dispenser blocks(10, {ChunkKind::dynamic, 9000}, 2, 8192);  // 9000 elements are two blocks of 8192
  CHECK(blocks.next(begin, end));
  CHECK_EQ(end, 2);
  CHECK_EQ(blocks.most_chunks(), 5);
}

TEST(what_is_closed_is_not_handed_out) {
  Dispenser dispenser(100, {ChunkKind::dynamic, 10}, 2, 1);
  size_t begin, end;
  CHECK(dispenser.next(begin, end));
  dispenser.close_at(15);
  dispenser.close_at(40);  // the lower one counts
  CHECK(dispenser.next(begin, end));
  CHECK_EQ(begin, 10);
  CHECK(!dispenser.next(begin, end));
}

TEST(a_stopped_loop_ends_within_a_step) {
  for (size_t round = 0; round < rounds(50); ++round) {
    Threads team(4);
    std::atomic<size_t> steps{0};
    const bool whole = parallel_for(team, 1'000'000, 10, 1, {ChunkKind::fixed, 0}, [&](size_t, size_t, Loop& loop) {
      if (steps.fetch_add(1) == 20) loop.stop();
    });
    CHECK(!whole);
    CHECK(steps.load() < 100'000);  // four shares of 25,000 steps each
  }
}

TEST(no_range_no_loop) {
  Threads team(2);
  CHECK(parallel_for(team, 0, 1, 1, {}, [](size_t, size_t) { CHECK(false); }));
  CHECK_EQ(team.loops, 0);
}

TEST(nobody_is_in_a_loop_after_its_meeting) {
  constexpr uint32_t kHelpers = 3;
  for (size_t round = 0; round < rounds(300); ++round) {
    constexpr size_t kCount = 500;
    std::vector<uint32_t> visits(kCount);  // plain: what helpers write must be visible to the owner
    const auto visit = [](void* context, size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) ++static_cast<uint32_t*>(context)[i];
    };
    std::optional<Loop> loop;
    loop.emplace(kCount, 7, 1, Chunking{ChunkKind::dynamic, 20}, kHelpers + 1, visit, visits.data());
    Meeting meeting(*loop);
    std::atomic<uint32_t> refused{0};
    on_threads(kHelpers + 1, [&](uint32_t me) {
      Random mine(seed() + round * 8 + me);
      if (me == 0) {
        if (round % 2 == 0) mine.dawdle(2000);
        meeting.open();
        loop->take_part();
        meeting.close_and_wait();
        loop.reset();  // AddressSanitizer and ThreadSanitizer see whoever touches it now
        for (uint32_t count : visits) CHECK_EQ(count, 1);
        return;
      }
      mine.dawdle(2000);
      Loop* entered = meeting.enter(sync::kForever);
      if (entered == nullptr) {
        refused.fetch_add(1);
        return;
      }
      entered->take_part();
      meeting.leave();
    });
    CHECK(meeting.enter(sync::kForever) == nullptr);
    CHECK(refused.load() <= kHelpers);
  }
}

TEST(nobody_gets_into_a_loop_whose_owner_has_not_begun) {
  Loop loop(10, 1, 1, Chunking{}, 2, [](void*, size_t, size_t) { CHECK(false); }, nullptr);
  Meeting meeting(loop);
  CHECK(meeting.enter(0) == nullptr);
  CHECK(meeting.enter(sync::now() + sync::kMillisecond) == nullptr);
}
