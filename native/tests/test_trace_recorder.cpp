// The recorder: events of many threads reach the sink; threads come and go; the end is the end; forms of the files.
#include <cstdio>
#include <string>
#include <vector>

#include <unistd.h>

#include "check.hpp"
#include "trace/recorder.hpp"

using namespace weft;
using namespace weft::test;
using namespace weft::trace;

namespace {

Event event(uint32_t pool, uint64_t number) {
  const auto time = static_cast<sync::Nanos>(number) + 1;
  return {.submitted = time, .started = time + 1000, .ended = time + 3500, .thread = 11, .pool = pool, .worker = 2, .outcome = Outcome::done};
}

struct Trace {
  Recorder::Limits limits{.chunks_per_lane = 100'000, .interval = sync::kMillisecond};
  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>(std::make_unique<Memory>(0), limits);

  Trace() { recorder->start(); }
  const Memory& end() {
    recorder->request_end();
    CHECK(recorder->wait_ended(sync::kForever));
    return dynamic_cast<const Memory&>(recorder->sink());
  }
};

// What a file sink writes into a temporary file.
template <class Make>
std::string written(Make&& make, const std::vector<std::pair<Event, std::string>>& events) {
  std::FILE* file = std::tmpfile();
  CHECK(file != nullptr);
  auto sink = make(dup(fileno(file)));
  const Pool pool{"pool \"1\"", Flavor::threads};
  for (const auto& [one, name] : events) sink->add(one, name, pool);
  sink->close();
  CHECK_EQ(sink->error(), 0);
  std::string text;
  std::rewind(file);
  for (int c; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}

}  // namespace

TEST(events_of_many_threads_arrive) {
  for (size_t round = 0; round < rounds(20); ++round) {
    Trace trace;
    constexpr uint32_t kThreads = 4;
    constexpr uint64_t kEach = 5000;
    on_threads(kThreads, [&](uint32_t me) {
      const auto lane = trace.recorder->add_lane(me);
      const uint32_t pool = trace.recorder->pool_index("pool " + std::to_string(me % 2), Flavor::threads);
      for (uint64_t i = 0; i < kEach; ++i) CHECK(lane->write(event(pool, i), "task"));
      if (me % 2 == 0) lane->close();
    });
    const Memory& memory = trace.end();
    CHECK_EQ(memory.rows().size(), kThreads * kEach);
    CHECK_EQ(trace.recorder->written(), kThreads * kEach);
    CHECK_EQ(trace.recorder->dropped(), 0);
    for (const Memory::Row& row : memory.rows()) CHECK(row.pool->name == "pool 0" || row.pool->name == "pool 1");
  }
}

TEST(threads_that_come_and_go_leave_nothing) {
  Trace trace;
  for (size_t i = 0; i < rounds(200); ++i) {
    const auto lane = trace.recorder->add_lane(i);
    CHECK(lane->write(event(trace.recorder->pool_index("pool", Flavor::serial), i), "task"));
    lane->close();
    if (i % 20 == 0) wait_until([&] { return lane.use_count() == 1; });  // the recorder has let go of it
  }
  CHECK_EQ(trace.end().rows().size(), rounds(200));
}

TEST(writing_while_it_ends) {
  for (size_t round = 0; round < rounds(50); ++round) {
    Trace trace;
    std::atomic<uint64_t> before{0};
    on_threads(3, [&](uint32_t me) {
      if (me == 0) {
        trace.end();
        return;
      }
      const auto lane = trace.recorder->add_lane(me);
      const uint32_t pool = trace.recorder->pool_index("pool", Flavor::threads);
      for (uint64_t i = 0; i < 2000 && !lane->retired(); ++i) before += lane->write(event(pool, i), "task") ? 1 : 0;
    });
    CHECK(trace.recorder->written() <= before.load());
  }
}

TEST(nobody_waits_for_the_end) {
  std::weak_ptr<Recorder> gone;
  {
    Trace trace;
    trace.recorder->request_end();
    gone = trace.recorder;
  }
  wait_until([&] { return gone.expired(); });
}

TEST(a_write_that_fails_is_told) {
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  JsonLines sink(dup(ends[0]), 0);  // the end for reading
  ::close(ends[0]);
  ::close(ends[1]);
  sink.add(event(0, 1), "task", {"pool", Flavor::threads});
  sink.close();
  CHECK(sink.error() != 0);
}

TEST(json_lines) {
  Event unrun = event(0, 5'000'000'000);
  unrun.started = kNever;
  unrun.outcome = Outcome::cancelled;
  const std::string text = written([](int file) { return std::make_unique<JsonLines>(file, 1'000'000'000); },
                                   {{event(0, 41), "a \"b\"\n\\ \xc3\xa9"}, {unrun, "c"}});
  CHECK(text ==
        "{\"name\": \"a \\\"b\\\"\\u000a\\\\ \xc3\xa9\", \"worker\": \"pool \\\"1\\\"_2\", \"flavor\": \"threads\", "
        "\"start\": 1.000001042, \"duration\": 0.000002500, \"state\": \"done\", \"queued\": 0.000001000, "
        "\"pool\": \"pool \\\"1\\\"\", \"thread\": 11}\n"
        "{\"name\": \"c\", \"worker\": null, \"flavor\": \"threads\", \"start\": null, \"duration\": null, "
        "\"state\": \"cancelled\", \"queued\": 0.000003500, \"pool\": \"pool \\\"1\\\"\", \"thread\": null}\n");
}

TEST(chrome_trace) {
  const std::string text =
      written([](int file) { return std::make_unique<ChromeTrace>(file, 99, "python"); }, {{event(0, 41), "a"}});
  CHECK(text ==
        "[\n{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": 99, \"tid\": 0, \"ts\": 0, \"args\": {\"name\": \"python\"}}"
        ",\n{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": 99, \"tid\": 11, \"ts\": 0, "
        "\"args\": {\"name\": \"pool \\\"1\\\"_2\"}}"
        ",\n{\"ph\": \"X\", \"name\": \"a\", \"pid\": 99, \"tid\": 11, \"ts\": 1.042, \"dur\": 2.500, \"cat\": \"threads\", "
        "\"args\": {\"state\": \"done\", \"pool\": \"pool \\\"1\\\"\", \"queued_us\": 1.000}}"
        ",\n{\"ph\": \"b\", \"name\": \"a\", \"pid\": 99, \"tid\": 11, \"ts\": 0.042, \"cat\": \"queue\", \"id\": \"1\"}"
        ",\n{\"ph\": \"e\", \"name\": \"a\", \"pid\": 99, \"tid\": 11, \"ts\": 1.042, \"cat\": \"queue\", \"id\": \"1\", "
        "\"args\": {\"state\": \"done\"}}\n]\n");
}

TEST(no_line_straddles_a_page) {
  constexpr size_t kPage = 4096;
  Random random(seed());
  std::vector<std::pair<Event, std::string>> events;
  for (uint64_t i = 0; i < 3000; ++i) events.emplace_back(event(0, i), std::string(random.below(300), 'x'));
  const std::string lines = written([](int file) { return std::make_unique<JsonLines>(file, 0); }, events);
  size_t count = 0;
  for (size_t begin = 0; begin < lines.size(); ++count) {
    const size_t end = lines.find('\n', begin);
    CHECK(end != std::string::npos);
    CHECK_EQ(lines.find_first_not_of(' ', begin) / kPage, end / kPage);
    begin = end + 1;
  }
  CHECK_EQ(count, events.size());
  const std::string chrome =
      written([](int file) { return std::make_unique<ChromeTrace>(file, 1, "python"); }, events);
  for (size_t page = kPage; page < chrome.size() - 8; page += kPage) {
    const size_t last = chrome.find_last_not_of(' ', page - 1);
    CHECK(chrome[last] == '}');  // cut off here, it lacks the bracket and nothing else
  }
}
