// A worker process: one channel, one thread that reads it, runs what it says and answers.
//
// Calls run on the process's main thread, attached. A pool that wants something of a process whose task runs sends a message and
// then SIGURG: the handler runs between two bytecodes of the task (and ends its sleep in a system call), and reads what has
// come: interrupts are raised right there, calls are put aside until their turn.
//
// Ends: with a message, or when the pool's process is gone. What the caller of run_process_worker does then is its own affair.
// Pinned by tests/executors/test_processes.py.

#include "remote/process_child.hpp"

#include <csignal>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include "channel/ends.hpp"
#include "remote/callee.hpp"
#include "remote/parcels.hpp"
#include "sync/mutex.hpp"

#if defined(__linux__)
#include <sys/prctl.h>
#include <unistd.h>
#endif

namespace weft::core {

namespace {

using channel::Piece;
using channel::Waited;
using channel::What;
using wire::CallHeader;
using wire::ReplyHeader;


// Bytes that this process has in memory; 0 where that is not known.
uint64_t resident_bytes() {
#if defined(__linux__)
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  unsigned long long size = 0, resident = 0;
  if (file == nullptr) return 0;
  const int read = std::fscanf(file, "%llu %llu", &size, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
#else
  return 0;
#endif
}

Owned imported(const char* module_name, const char* name) {
  Owned module(PyImport_ImportModule(module_name));
  return Owned(module ? PyObject_GetAttrString(module.get(), name) : nullptr);
}

int come_by(void*);
extern PyMethodDef say_function;

// What threads say that a task has started: the channel is the main thread's, which sends this when it comes by. Outlives the
// worker, as they may.
class Others {
 public:
  void open(channel::Channel* channel) {
    sync::LockGuard guard(mutex_);
    channel_ = channel;
  }
  void close() {
    sync::LockGuard guard(mutex_);
    channel_ = nullptr;
  }

  // False: it cannot be said.
  bool leave(std::string_view message) {
    sync::LockGuard guard(mutex_);
    if (channel_ == nullptr || bytes_ > kMostBytes) return false;
    bytes_ += message.size();
    messages_.emplace_back(message);
    (void)Py_AddPendingCall(come_by, nullptr);  // to a task that runs; without room for it, when that ends
    channel_->wake();
    return true;
  }

  std::vector<std::string> take() {
    sync::LockGuard guard(mutex_);
    bytes_ = 0;
    return std::exchange(messages_, {});
  }

 private:
  static constexpr size_t kMostBytes = 1 << 20;

  sync::Mutex mutex_;
  channel::Channel* channel_ = nullptr;
  std::vector<std::string> messages_;
  size_t bytes_ = 0;
};

Others others;

class ProcessWorker final : public Callee::Watcher {
 public:
  ProcessWorker(std::unique_ptr<channel::Channel> channel, bool measure)
      : channel_(std::move(channel)), reader_(channel_->block_socket()), writer_(channel_->block_socket()), measure_(measure) {
    others.open(channel_.get());
  }
  ~ProcessWorker() { others.close(); }

  // False: an exception is set; it has been sent.
  bool begin(std::string_view greeting) {
    const bool prepared = callee_.prepare(greeting, &say_function, nullptr);
    say_what_others_said();
    if (prepared) {
      send({.kind = ReplyHeader::ready}, {}, {});
    } else {
      PyObject* error = PyErr_GetRaisedException();
      Answer answer;
      if (callee_.pack_failure(error, &answer)) {
        send({.kind = ReplyHeader::failed, .bytes = answer.text().size()}, piece_of(answer.text()), {});
      } else {
        PyErr_Clear();
        send({.kind = ReplyHeader::failed}, {}, {});
      }
      answer.clear();
      PyErr_SetRaisedException(error);
    }
    return prepared;
  }

  void work() {
    while (!ended_) {
      std::vector<std::byte> message;
      if (!waiting_.empty()) {
        message = std::move(waiting_.front());
        waiting_.pop_front();
      } else if (const auto seen = channel_->peek()) {
        message.assign(seen->begin(), seen->end());
        channel_->release();
      } else {
        say_what_others_said();
        if (!wait(What::message)) return;
        continue;
      }
      handle(message);
    }
  }

  // What was said goes in order: what other threads have left first.
  bool say(std::string_view message) {
    say_what_others_said();
    send({.kind = ReplyHeader::aside, .bytes = message.size()}, piece_of(std::string_view(message)), {});
    return !gone_;
  }

  void say_what_others_said() {
    for (const std::string& message : others.take()) {
      send({.kind = ReplyHeader::aside, .bytes = message.size()}, piece_of(std::string_view(message)), {});
    }
  }

  // The handler of SIGURG. False: an exception is set, for the task.
  bool look() {
    while (const auto seen = channel_->peek()) {
      std::vector<std::byte> message(seen->begin(), seen->end());
      channel_->release();
      const CallHeader header = header_of(message);
      if (header.kind == CallHeader::interrupt) {
        if (header.id != current_) continue;  // it came too late
        if (calling_) return raise(message);
        early_ = std::move(message);
      } else if (header.kind == CallHeader::give_back) {
        give_back();
      } else {
        waiting_.push_back(std::move(message));
      }
    }
    return true;
  }

  // Between these two, and nowhere else, interrupts are raised.
  bool begins() override {
    calling_ = true;
    return early_.empty() || raise(std::exchange(early_, {}));
  }
  void ended() override { calling_ = false; }

  void end() {
    callee_.end();
    if (!gone_) say_what_others_said();
    callee_.clear();
  }

 private:
  static CallHeader header_of(const std::vector<std::byte>& message) {
    CallHeader header;
    Piece rest(message);
    std::memcpy(&header, take(&rest, sizeof header).data(), sizeof header);
    return header;
  }

  void handle(const std::vector<std::byte>& message) {
    switch (header_of(message).kind) {
      case CallHeader::call:
        run(message);
        break;
      case CallHeader::interrupt:  // it came too late
        break;
      case CallHeader::give_back:
        give_back();
        break;
      case CallHeader::end:
        ended_ = true;
        break;
    }
  }

  void run(const std::vector<std::byte>& message) {
    Piece rest(message);
    CallHeader header;
    std::memcpy(&header, take(&rest, sizeof header).data(), sizeof header);
    const Piece entries = take(&rest, header.buffers * sizeof(wire::BufferEntry));
    CallIn in{.bytes = text_of(take(&rest, header.bytes)),
              .definition = text_of(take(&rest, header.definition)),
              .context = text_of(take(&rest, header.context))};
    in.buffers = incoming_buffers(entries, header.buffers, &rest, reader_);
    ReplyHeader reply{.kind = ReplyHeader::answer, .id = header.id, .began = sync::now()};
    Answer answer;
    current_ = header.id;
    const bool answered = callee_.run(in, &answer, *this);
    current_ = 0;
    early_.clear();
    if (!answered) {
      PyObject* error = PyErr_GetRaisedException();  // interrupted while its failure was packed
      if (!callee_.pack_failure(error, &answer)) PyErr_WriteUnraisable(error);
      Py_DECREF(error);  // SAFETY: taken from the thread state above
    }
    reply.raised = !answer.raised ? 0 : callee_.called() ? 1 : 2;
    reply.ended = sync::now();
    if (measure_) reply.resident = resident_bytes();
    OutgoingBuffers buffers;
    for (const Py_buffer& view : answer.buffers) {
      buffers.add({view.buf, static_cast<size_t>(view.len), view.readonly != 0}, writer_);
    }
    say_what_others_said();
    const std::string_view text = answer.bytes == nullptr ? std::string_view() : answer.text();
    reply.bytes = text.size();
    reply.buffers = buffers.entries.size();
    send(reply, piece_of(text), buffers);
    answer.clear();
  }

  void give_back() {
    std::deque<std::vector<std::byte>> kept;
    for (auto& message : waiting_) {
      const CallHeader header = header_of(message);
      if (header.kind == CallHeader::call) {
        send({.kind = ReplyHeader::given_back, .id = header.id}, {}, {});
      } else {
        kept.push_back(std::move(message));
      }
    }
    waiting_ = std::move(kept);
  }

  void send(const ReplyHeader& header, Piece bytes, const OutgoingBuffers& buffers) {
    std::vector<Piece> pieces{piece_of(header)};
    pieces.push_back(buffers.table());
    pieces.push_back(bytes);
    pieces.insert(pieces.end(), buffers.pieces.begin(), buffers.pieces.end());
    while (!channel_->try_send(pieces)) {
      if (!wait(What::room)) return;
    }
    while (!channel_->flush()) {
      if (!wait(What::room)) return;
    }
  }

  // Detached meanwhile. False: the pool's process is gone.
  bool wait(What what) {
    Waited waited = Waited::ready;
    PyThreadState* thread = PyEval_SaveThread();
    waited = channel_->wait(what, sync::kForever);
    PyEval_RestoreThread(thread);
    if (waited == Waited::peer_gone) gone_ = ended_ = true;
    // Nothing of a task runs: what a handler raises here is for nobody.
    if (waited == Waited::interrupted && what == What::message && PyErr_CheckSignals() < 0) PyErr_Clear();
    return !gone_;
  }

  bool raise(const std::vector<std::byte>& message) {
    Piece rest(message);
    const size_t size = header_of(message).bytes;
    (void)take(&rest, sizeof(CallHeader));
    const std::string_view names = text_of(take(&rest, size));
    const size_t zero = names.find('\0');
    Owned type = imported(std::string(names.substr(0, zero)).c_str(), std::string(names.substr(zero + 1)).c_str());
    if (!type || !PyExceptionClass_Check(type.get())) {
      PyErr_Clear();
      type = imported("weft.errors", "Interrupted");
    }
    if (type) PyErr_SetNone(type.get());
    return false;
  }

  std::unique_ptr<channel::Channel> channel_;
  channel::BlockReader reader_;
  channel::BlockWriter writer_;
  Callee callee_;
  std::deque<std::vector<std::byte>> waiting_;
  uint64_t current_ = 0;          // the call that is at work
  bool calling_ = false;          // its own function runs
  std::vector<std::byte> early_;  // the interrupt that came before that
  bool ended_ = false;            // there are no more calls
  bool gone_ = false;             // nor is there anybody to tell
  const bool measure_;
};

ProcessWorker* this_process = nullptr;  // the main thread's; between two bytecodes too

unsigned long main_thread = 0;

int come_by(void*) {
  if (this_process != nullptr) this_process->say_what_others_said();
  return 0;
}

PyObject* on_poke(PyObject*, PyObject*) {
  try {
    if (this_process != nullptr && !this_process->look()) return nullptr;
  } catch (const std::exception& error) {  // the channel is broken: the pool ends this process
    PyErr_SetString(PyExc_SystemError, error.what());
    return nullptr;
  }
  Py_RETURN_NONE;
}

// say(message): any thread.
PyObject* on_say(PyObject*, PyObject* message) {
  char* data;
  Py_ssize_t size;
  if (PyBytes_AsStringAndSize(message, &data, &size) < 0) return nullptr;
  const std::string_view text(data, static_cast<size_t>(size));
  try {
    const bool main = PyThread_get_thread_ident() == main_thread;
    if (main ? this_process != nullptr && this_process->say(text) : others.leave(text)) Py_RETURN_NONE;
    PyErr_SetString(PyExc_OSError, "the pool does not listen");
  } catch (const std::exception& error) {  // the channel is broken: the pool ends this process
    PyErr_SetString(PyExc_SystemError, error.what());
  }
  return nullptr;
}

PyMethodDef say_function = {"weft_say", on_say, METH_O, "Tell the pool's side. Internal."};

PyMethodDef poke_function = {"weft_poke", on_poke, METH_VARARGS, "The pool wants something. Internal."};

bool install_handler() {
#ifdef SIGURG
  Owned handler(PyCFunction_New(&poke_function, nullptr));
  Owned module(handler ? PyImport_ImportModule("_signal") : nullptr);
  Owned done(module ? PyObject_CallMethod(module.get(), "signal", "iO", SIGURG, handler.get()) : nullptr);
  return bool(done);
#else
  return true;
#endif
}

// run_process_worker(kind, descriptors, greeting): returns when the pool has no more for this process.
PyObject* run_process_worker(PyObject*, PyObject* args) {
  int kind;
  std::array<int, channel::ChannelEnds::kCount> numbers;
  const char* greeting;
  Py_ssize_t size;
  if (!PyArg_ParseTuple(args, "i(iiiii)y#", &kind, &numbers[0], &numbers[1], &numbers[2], &numbers[3], &numbers[4],
                        &greeting, &size)) {
    return nullptr;
  }
#if defined(__linux__)
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  try {
    const auto ends = channel::ChannelEnds::from_order(static_cast<channel::ChannelKind>(kind & 0xff), numbers);
    ProcessWorker worker(channel::attach(ends, std::thread::hardware_concurrency() > 2), (kind & kMeasure) != 0);
    this_process = &worker;
    main_thread = PyThread_get_thread_ident();
    const bool good = install_handler() && worker.begin({greeting, static_cast<size_t>(size)});
    if (good) worker.work();
    worker.end();
    this_process = nullptr;
    if (!good) {  // the pool has been told why
      PyErr_SetObject(PyExc_SystemExit, Owned(PyLong_FromLong(1)).get());
      return nullptr;
    }
  } catch (const std::exception& error) {
    this_process = nullptr;
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
  Py_RETURN_NONE;
}

}  // namespace

PyMethodDef process_functions[] = {
    {"run_process_worker", run_process_worker, METH_VARARGS,
     "run_process_worker($module, kind, descriptors, greeting, /)\n--\n\n"
     "Work for the pool at the other end of a channel until that ends. Internal: for worker processes."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
