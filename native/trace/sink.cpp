#include "trace/sink.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

namespace weft::trace {

namespace {

template <class Integer>
void append_integer(std::string& to, Integer value) {
  char text[24];
  to.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

// In units of 10^`decimals` nanoseconds, with all decimals: no float comes in, so nothing is rounded. By hand, since the
// drainer spends most of its time here: printf takes ten times as long.
template <int decimals>
void append_decimal(std::string& to, sync::Nanos nanos) {
  constexpr sync::Nanos unit = decimals == 9 ? sync::kSecond : sync::kMicrosecond;
  if (nanos < 0) {
    to += '-';
    nanos = -nanos;
  }
  append_integer(to, nanos / unit);
  char fraction[decimals + 1];
  fraction[0] = '.';
  sync::Nanos rest = nanos % unit;
  for (int i = decimals; i > 0; --i) {
    fraction[i] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  }
  to.append(fraction, sizeof fraction);
}

void append_seconds(std::string& to, sync::Nanos nanos) { append_decimal<9>(to, nanos); }
void append_microseconds(std::string& to, sync::Nanos nanos) { append_decimal<3>(to, nanos); }

int close_descriptor(int descriptor) {
#if defined(_WIN32)
  return _close(descriptor);
#else
  return ::close(descriptor);
#endif
}

}  // namespace

void append_json(std::string& to, std::string_view text) {
  const auto special = [](char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; };
  to += '"';
  if (std::none_of(text.begin(), text.end(), special)) {
    to += text;
    to += '"';
    return;
  }
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      to += '\\';
      to += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      to += escape;
    } else {
      to += c;
    }
  }
  to += '"';
}

// ---- files --------------------------------------------------------------------------------------------------------

void File::flush() {
  size_t done = 0;
  while (error_ == 0 && done < text_.size()) {
#if defined(_WIN32)
    const int wrote = _write(descriptor_, text_.data() + done, static_cast<unsigned>(text_.size() - done));
#else
    const ssize_t wrote = ::write(descriptor_, text_.data() + done, text_.size() - done);
#endif
    if (wrote >= 0) {
      done += static_cast<size_t>(wrote);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  text_.clear();
}

void File::close() {
  flush();
  if (close_descriptor(descriptor_) != 0 && error_ == 0) error_ = errno;
}

void File::forget() { (void)close_descriptor(descriptor_); }

const std::string& File::worker(const Pool& pool, int32_t index) {
  if (&pool != last_pool_ || index != last_index_) {
    last_pool_ = &pool;
    last_index_ = index;
    last_worker_.clear();
    append_json(last_worker_, pool.worker(index));
  }
  return last_worker_;
}

void JsonLines::add(const Event& event, std::string_view name, const Pool& pool) {
  text_ += R"({"name": )";
  append_json(text_, name);
  text_ += R"(, "worker": )";
  text_ += event.ran() ? worker(pool, event.worker) : "null";
  text_ += R"(, "flavor": ")";
  text_ += name_of(pool.flavor);
  text_ += R"(", "start": )";
  if (event.ran()) {
    append_seconds(text_, event.started + epoch_);
    text_ += R"(, "duration": )";
    append_seconds(text_, event.duration());
  } else {
    text_ += R"(null, "duration": null)";
  }
  text_ += R"(, "state": ")";
  text_ += name_of(event.outcome);
  text_ += R"(", "queued": )";
  append_seconds(text_, event.queued());
  text_ += R"(, "pool": )";
  append_json(text_, pool.name);
  text_ += R"(, "thread": )";
  if (event.ran()) {
    append_integer(text_, event.thread);
  } else {
    text_ += "null";
  }
  text_ += "}\n";
  line_ended();
}

ChromeTrace::ChromeTrace(int descriptor, uint64_t process, std::string_view label)
    : File(descriptor), process_(std::to_string(process)) {
  // Each line but the first begins with the comma, so that what is there ends with a whole event.
  text_ = R"([
{"ph": "M", "name": "process_name", "pid": )";
  text_ += process_;
  text_ += R"(, "tid": 0, "ts": 0, "args": {"name": )";
  append_json(text_, label);
  text_ += "}}";
}

void ChromeTrace::begin(char phase, std::string_view name, uint64_t thread) {
  text_ += ",\n{\"ph\": \"";
  text_ += phase;
  text_ += R"(", "name": )";
  append_json(text_, name);
  text_ += R"(, "pid": )";
  text_ += process_;
  text_ += R"(, "tid": )";
  append_integer(text_, thread);
  text_ += R"(, "ts": )";
}

void ChromeTrace::end() {
  text_ += '}';
  line_ended();
}

void ChromeTrace::name_thread(uint64_t thread, const std::string& worker) {
  std::string& known = threads_[thread];
  if (known == worker) return;
  known = worker;
  begin('M', "thread_name", thread);
  text_ += R"(0, "args": {"name": )";
  text_ += worker;
  text_ += '}';
  end();
}

void ChromeTrace::add(const Event& event, std::string_view name, const Pool& pool) {
  if (event.ran()) {
    name_thread(event.thread, worker(pool, event.worker));
    begin('X', name, event.thread);
    append_microseconds(text_, event.started);
    text_ += R"(, "dur": )";
    append_microseconds(text_, event.duration());
    text_ += R"(, "cat": ")";
    text_ += name_of(pool.flavor);
    text_ += R"(", "args": {"state": ")";
    text_ += name_of(event.outcome);
    text_ += R"(", "pool": )";
    append_json(text_, pool.name);
    text_ += R"(, "queued_us": )";
    append_microseconds(text_, event.queued());
    text_ += '}';
    end();
    if (pool.flavor == Flavor::serial) return;  // it did not wait in a queue
  }
  // The time in the queue, as a pair of nestable async events.
  const uint64_t id = next_id_++;
  for (const char phase : {'b', 'e'}) {
    begin(phase, name, event.thread);
    append_microseconds(text_, phase == 'b' ? event.submitted : event.submitted + event.queued());
    text_ += R"(, "cat": "queue", "id": ")";
    append_integer(text_, id);
    text_ += '"';
    if (phase == 'e') {
      text_ += R"(, "args": {"state": ")";
      text_ += name_of(event.outcome);
      text_ += R"("})";
    }
    end();
  }
}

void ChromeTrace::close() {
  text_ += "\n]\n";
  File::close();
}

// ---- memory -------------------------------------------------------------------------------------------------------

void Memory::add(const Event& event, std::string_view name, const Pool& pool) {
  rows_.push_back({event, &*names_.emplace(name).first, &pool});
}

}  // namespace weft::trace
