// Where drained events go: a file of JSON lines, a file in the Trace Event Format, or memory.
//
// Called by the drainer only, but for Memory::rows, which is read when the drainer has ended.
//
// What a crash leaves behind of a file can be read: each write ends with a line, and lines do not straddle pages of 4 KiB.
// A system call that is cut short because the process is killed is cut between two pages.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "trace/event.hpp"
#include "trace/text.hpp"

namespace weft::trace {

class Sink {
 public:
  virtual ~Sink() = default;
  virtual void add(const Event&, std::string_view name, const Pool&) = 0;
  virtual void flush() {}
  virtual void close() {}
  // The errno of the first write that failed, after which nothing more is written; 0: all went well.
  int error() const { return error_; }

 protected:
  int error_ = 0;
};

// What both kinds of file share. Owns the descriptor, which close() closes.
class File : public Sink {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  void flush() override;
  void close() override;
  // In a forked child, where there is no drainer and the file is the parent's: closes the child's descriptor, no more.
  void forget();

 protected:
  static constexpr size_t kBatch = 1 << 16;  // bytes

  static constexpr size_t kMostPerLine = 512;  // bytes, without names

  static constexpr size_t kPage = 4096;

  // What has been put into `text_` since the last call is a line. `separator` is how many bytes at the end of a line belong
  // behind the spaces that fill a page.
  void line_ended(size_t separator);
  // The names of a worker and its pool, as JSON. Events come thread by thread: the last one asked for is mostly asked for
  // again.
  struct Names {
    std::string worker;
    std::string pool;
  };
  const Names& names_for(const Pool&, int32_t worker);

  Text text_;

 private:
  int descriptor_;
  uint64_t flushed_ = 0;    // bytes
  size_t line_begins_ = 0;  // in text_
  const Pool* last_pool_ = nullptr;
  int32_t last_worker_ = 0;
  Names names_;
};

// One object a line. `epoch` is what to add to the monotonic clock to get the time since 1970.
class JsonLines final : public File {
 public:
  JsonLines(int descriptor, sync::Nanos epoch) : File(descriptor), epoch_(epoch) {}
  void add(const Event&, std::string_view name, const Pool&) override;

 private:
  const sync::Nanos epoch_;
};

// The JSON Array Format of the Trace Event Format, which Perfetto and chrome://tracing open. The closing bracket is
// optional there, so the file can be opened at any moment, and after a crash.
class ChromeTrace final : public File {
 public:
  ChromeTrace(int descriptor, uint64_t process, std::string_view label);
  void add(const Event&, std::string_view name, const Pool&) override;
  void close() override;

 private:
  void begin(char phase, std::string_view name, uint64_t thread);
  void end_event();
  void name_thread(uint64_t thread, const Names&);

  const std::string process_;
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, std::string> threads_;  // by id: what it was last called
};

class Memory final : public Sink {
 public:
  struct Row {
    Event event;
    const std::string* name;  // in names_
    const Pool* pool;         // the recorder's
  };

  explicit Memory(sync::Nanos epoch) : epoch_(epoch) {}
  void add(const Event&, std::string_view name, const Pool&) override;
  sync::Nanos epoch() const { return epoch_; }
  const std::deque<Row>& rows() const { return rows_; }

 private:
  const sync::Nanos epoch_;
  std::deque<Row> rows_;
  std::unordered_set<std::string> names_;  // each once; never moved
};

}  // namespace weft::trace
