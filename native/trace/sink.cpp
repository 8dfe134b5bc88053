#include "trace/sink.hpp"

#include <cerrno>
#include <cstdio>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

namespace weft::trace {

namespace {

// In `unit`s, with as many decimals as it has: no float comes in, so nothing is rounded.
void append_decimal(std::string& to, sync::Nanos nanos, sync::Nanos unit, int digits) {
  if (nanos < 0) {
    to += '-';
    nanos = -nanos;
  }
  char text[40];
  const int length = std::snprintf(text, sizeof text, "%lld.%0*lld", static_cast<long long>(nanos / unit), digits,
                                   static_cast<long long>(nanos % unit));
  to.append(text, static_cast<size_t>(length));
}

int close_descriptor(int descriptor) {
#if defined(_WIN32)
  return _close(descriptor);
#else
  return ::close(descriptor);
#endif
}

void append_seconds(std::string& to, sync::Nanos nanos) { append_decimal(to, nanos, sync::kSecond, 9); }
void append_microseconds(std::string& to, sync::Nanos nanos) { append_decimal(to, nanos, sync::kMicrosecond, 3); }

}  // namespace

void append_json(std::string& to, std::string_view text) {
  to += '"';
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

void JsonLines::add(const Event& event, std::string_view name, const Pool& pool) {
  text_ += "{\"name\": ";
  append_json(text_, name);
  text_ += ", \"worker\": ";
  if (event.ran()) {
    append_json(text_, pool.worker(event.worker));
  } else {
    text_ += "null";
  }
  text_ += ", \"flavor\": \"";
  text_ += name_of(pool.flavor);
  text_ += "\", \"start\": ";
  if (event.ran()) {
    append_seconds(text_, event.started + epoch_);
    text_ += ", \"duration\": ";
    append_seconds(text_, event.duration());
  } else {
    text_ += "null, \"duration\": null";
  }
  text_ += ", \"state\": \"";
  text_ += name_of(event.outcome);
  text_ += "\", \"queued\": ";
  append_seconds(text_, event.queued());
  text_ += ", \"pool\": ";
  append_json(text_, pool.name);
  text_ += ", \"thread\": ";
  text_ += event.ran() ? std::to_string(event.thread) : "null";
  text_ += "}\n";
  line_ended();
}

ChromeTrace::ChromeTrace(int descriptor, uint64_t process, std::string_view label)
    : File(descriptor), process_(std::to_string(process)) {
  // Each line but the first begins with the comma, so that what is there ends with a whole event.
  text_ = "[\n{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": " + process_ +
          ", \"tid\": 0, \"ts\": 0, \"args\": {\"name\": ";
  append_json(text_, label);
  text_ += "}}";
}

void ChromeTrace::begin(char phase, std::string_view name, uint64_t thread) {
  text_ += ",\n{\"ph\": \"";
  text_ += phase;
  text_ += "\", \"name\": ";
  append_json(text_, name);
  text_ += ", \"pid\": ";
  text_ += process_;
  text_ += ", \"tid\": ";
  text_ += std::to_string(thread);
  text_ += ", \"ts\": ";
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
  text_ += "0, \"args\": {\"name\": ";
  append_json(text_, worker);
  text_ += '}';
  end();
}

void ChromeTrace::add(const Event& event, std::string_view name, const Pool& pool) {
  if (event.ran()) {
    name_thread(event.thread, pool.worker(event.worker));
    begin('X', name, event.thread);
    append_microseconds(text_, event.started);
    text_ += ", \"dur\": ";
    append_microseconds(text_, event.duration());
    text_ += ", \"cat\": \"";
    text_ += name_of(pool.flavor);
    text_ += "\", \"args\": {\"state\": \"";
    text_ += name_of(event.outcome);
    text_ += "\", \"pool\": ";
    append_json(text_, pool.name);
    text_ += ", \"queued_us\": ";
    append_microseconds(text_, event.queued());
    text_ += '}';
    end();
    if (pool.flavor == Flavor::serial) return;  // it did not wait in a queue
  }
  // The time in the queue, as a pair of nestable async events.
  const std::string id = std::to_string(next_id_++);
  for (const char phase : {'b', 'e'}) {
    begin(phase, name, event.thread);
    append_microseconds(text_, phase == 'b' ? event.submitted : event.submitted + event.queued());
    text_ += ", \"cat\": \"queue\", \"id\": \"" + id + "\"";
    if (phase == 'e') {
      text_ += ", \"args\": {\"state\": \"";
      text_ += name_of(event.outcome);
      text_ += "\"}";
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
