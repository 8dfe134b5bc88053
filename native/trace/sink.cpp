#include "trace/sink.hpp"

#include <cerrno>
#include <string>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

namespace weft::trace {

namespace {

int close_descriptor(int descriptor) {
#if defined(_WIN32)
  return _close(descriptor);
#else
  return ::close(descriptor);
#endif
}

}  // namespace

// ---- files --------------------------------------------------------------------------------------------------------

void File::flush() {
  std::string_view left = text_.view();
  while (error_ == 0 && !left.empty()) {
#if defined(_WIN32)
    const int wrote = _write(descriptor_, left.data(), static_cast<unsigned>(left.size()));
#else
    const ssize_t wrote = ::write(descriptor_, left.data(), left.size());
#endif
    if (wrote >= 0) {
      left.remove_prefix(static_cast<size_t>(wrote));
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  flushed_ += text_.size();
  text_.clear();
  line_begins_ = 0;
}

void File::line_ended(size_t separator) {
  const uint64_t begins = flushed_ + line_begins_;
  const size_t length = text_.size() - line_begins_;
  const size_t left = kPage - begins % kPage;
  if (length > left && length <= kPage) text_.insert_spaces(line_begins_ > separator ? line_begins_ - separator : 0, left);
  line_begins_ = text_.size();
  if (text_.size() >= kBatch) flush();
}

void File::close() {
  flush();
  if (close_descriptor(descriptor_) != 0 && error_ == 0) error_ = errno;
}

void File::forget() { (void)close_descriptor(descriptor_); }

const File::Names& File::names_for(const Pool& pool, int32_t worker) {
  if (&pool == last_pool_ && worker == last_worker_) return names_;
  last_pool_ = &pool;
  last_worker_ = worker;
  const auto as_json = [](const std::string& name) {
    Text text;
    text.make_room(Text::in_json(name.size()));
    text.json(name);
    return std::string(text.view());
  };
  names_ = {as_json(pool.worker(worker)), as_json(pool.name)};
  return names_;
}

void JsonLines::add(const Event& event, std::string_view name, const Pool& pool) {
  const Names& names = names_for(pool, event.worker);
  text_.make_room(kMostPerLine + Text::in_json(name.size()) + names.worker.size() + names.pool.size());
  text_.put(R"({"name": )");
  text_.json(name);
  text_.put(R"(, "worker": )");
  text_.put(event.ran() ? std::string_view(names.worker) : "null");
  text_.put(R"(, "flavor": ")");
  text_.put(name_of(pool.flavor));
  text_.put(R"(", "start": )");
  if (event.ran()) {
    text_.seconds(event.started + epoch_);
    text_.put(R"(, "duration": )");
    text_.seconds(event.duration());
  } else {
    text_.put(R"(null, "duration": null)");
  }
  text_.put(R"(, "state": ")");
  text_.put(name_of(event.outcome));
  text_.put(R"(", "queued": )");
  text_.seconds(event.queued());
  text_.put(R"(, "pool": )");
  text_.put(names.pool);
  text_.put(R"(, "thread": )");
  if (event.ran()) {
    text_.integer(event.thread);
  } else {
    text_.put("null");
  }
  text_.put("}\n");
  line_ended(1);
}

ChromeTrace::ChromeTrace(int descriptor, uint64_t process, std::string_view label)
    : File(descriptor), process_(std::to_string(process)) {
  // Each line but the first begins with the comma, so that what is there ends with a whole event.
  text_.make_room(kMostPerLine + Text::in_json(label.size()));
  text_.put("[\n");
  text_.put(R"({"ph": "M", "name": "process_name", "pid": )");
  text_.put(process_);
  text_.put(R"(, "tid": 0, "ts": 0, "args": {"name": )");
  text_.json(label);
  text_.put("}}");
}

void ChromeTrace::begin(char phase, std::string_view name, uint64_t thread) {
  text_.make_room(kMostPerLine + Text::in_json(name.size()));
  text_.put(",\n{\"ph\": \"");
  text_.put(phase);
  text_.put(R"(", "name": )");
  text_.json(name);
  text_.put(R"(, "pid": )");
  text_.put(process_);
  text_.put(R"(, "tid": )");
  text_.integer(thread);
  text_.put(R"(, "ts": )");
}

void ChromeTrace::end_event() {
  text_.put('}');
  line_ended(0);
}

void ChromeTrace::name_thread(uint64_t thread, const Names& names) {
  std::string& known = threads_[thread];
  if (known == names.worker) return;
  known = names.worker;
  begin('M', "thread_name", thread);
  text_.make_room(kMostPerLine + names.worker.size());
  text_.put(R"(0, "args": {"name": )");
  text_.put(names.worker);
  text_.put('}');
  end_event();
}

void ChromeTrace::add(const Event& event, std::string_view name, const Pool& pool) {
  if (event.ran()) {
    const Names& names = names_for(pool, event.worker);
    name_thread(event.thread, names);
    begin('X', name, event.thread);
    text_.make_room(kMostPerLine + names.pool.size());
    text_.microseconds(event.started);
    text_.put(R"(, "dur": )");
    text_.microseconds(event.duration());
    text_.put(R"(, "cat": ")");
    text_.put(name_of(pool.flavor));
    text_.put(R"(", "args": {"state": ")");
    text_.put(name_of(event.outcome));
    text_.put(R"(", "pool": )");
    text_.put(names.pool);
    text_.put(R"(, "queued_us": )");
    text_.microseconds(event.queued());
    text_.put('}');
    end_event();
    if (pool.flavor == Flavor::serial) return;  // it did not wait in a queue
  }
  // The time in the queue, as a pair of nestable async events.
  const uint64_t id = next_id_++;
  for (const char phase : {'b', 'e'}) {
    begin(phase, name, event.thread);
    text_.make_room(kMostPerLine);
    text_.microseconds(phase == 'b' ? event.submitted : event.submitted + event.queued());
    text_.put(R"(, "cat": "queue", "id": ")");
    text_.integer(id);
    text_.put('"');
    if (phase == 'e') {
      text_.put(R"(, "args": {"state": ")");
      text_.put(name_of(event.outcome));
      text_.put(R"("})");
    }
    end_event();
  }
}

void ChromeTrace::close() {
  text_.make_room(kMostPerLine);
  text_.put("\n]\n");
  File::close();
}

// ---- memory -------------------------------------------------------------------------------------------------------

void Memory::add(const Event& event, std::string_view name, const Pool& pool) {
  rows_.push_back({event, &*names_.emplace(name).first, &pool});
}

}  // namespace weft::trace
