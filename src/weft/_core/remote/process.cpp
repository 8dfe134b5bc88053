#include "remote/process.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <system_error>
#include <unordered_set>

#include "channel/ends.hpp"
#include "remote/home.hpp"
#include "remote/parcels.hpp"
#include "remote/process_child.hpp"
#include "tracing/trace.hpp"

namespace weft::core {

namespace {

using channel::Piece;
using channel::Waited;
using channel::What;
using wire::CallHeader;
using wire::ReplyHeader;

constexpr size_t kMostAhead = 64;                             // calls under way in one process
constexpr Nanos kWorthAhead = 300 * sync::kMicrosecond;       // of work are written ahead
constexpr Nanos kAskBack = 5 * sync::kMillisecond;            // so long one may take that has others behind it
constexpr Nanos kPatience = 1 * sync::kSecond;                // between asking, terminating and killing
constexpr size_t kMostDefinitions = 4000;                     // fewer than the process keeps, see Callee
constexpr int kAttempts = 5;                                  // to start a process that dies before it is ready
constexpr int kTerminate = 15, kKill = 9;
#ifdef SIGURG
constexpr int kPoke = SIGURG;
#else
constexpr int kPoke = 0;
#endif


struct InFlight {
  Future* future;
  uint64_t id;
};

// One process and everything that is about it alone.
struct Process {
  std::unique_ptr<channel::Channel> channel;
  std::unique_ptr<channel::BlockReader> reader;
  std::unique_ptr<channel::BlockWriter> writer;
  PyObject* handle = nullptr;  // strong: weft.executors._template.WorkerProcess
  int pid = 0;
  uint64_t calls = 0;
  bool ready = false;
  bool retiring = false;   // it gets no more calls
  bool scribbles = false;  // its messages make no sense
  std::unordered_set<long> definitions;  // that it has
};

class ProcessRunner final : public Runner, public Interrupter {
 public:
  ProcessRunner(Executant& executant, PyThreadState* ours)
      : x_(executant),
        remote_(*executant.core->remote),
        home_(executant, ours),
        asides_(std::make_shared<Asides>(executant.worker->index())) {}

  PyThreadState* ours() const { return home_.state(); }

  // ---- the scheduler's calls; there is nothing to attach to

  void attach() override {}

  void detach() override {
    report();
    home_.settle(remote_);
  }

  void run(Task& task) override {
    remote_.settle_soon();
    Future* future = future_of(task);
    const bool wanted = !cancels_queued();
    const bool possible = wanted && have_process();  // before the claim: until there is one, the task can be cancelled
    if (!wanted || (!possible && cancels_queued())) {  // or its process was killed as it started
      remote_.leave({.future = future, .kind = Report::unwanted, .cell = x_.cell});
    } else if (!transition_to_running(future)) {
      remote_.leave({.future = future, .kind = Report::dropped, .cell = x_.cell});
    } else if (!possible) {
      // The pool is broken by now, which this task, out of its queue, has not heard.
      remote_.leave({.future = future, .kind = Report::refused, .cell = x_.cell});
    } else {
      begin(future);
    }
    while (!in_flight_.empty() && in_flight_.size() >= depth_) wait_for_answers();
  }

  bool wait_under_way() override {
    if (in_flight_.empty()) return false;
    do {
      home_.settle(remote_);
      wait_for_answers();
    } while (!in_flight_.empty() && in_flight_.size() >= depth_);
    return true;
  }

  void want_worker() override {
    home_.visit([this] { start_worker_quietly(x_.core); });
  }

  // ---- any thread

  void interrupt(const Future* wanted, const std::string& module, const std::string& name) override {
    sync::LockGuard guard(asked_mutex_);
    asked_ = wanted;
    asked_for_ = module + '\0' + name;
    if (process_.channel != nullptr) process_.channel->wake();
  }

  // ---- the end

  void hear_its_end() { remote_.hear(*asides_); }  // attached

  void end_process() {
    if (process_.channel == nullptr) return;
    (void)send({.kind = CallHeader::end}, {});
    const int signals[] = {kTerminate, kKill, 0};
    for (int signal : signals) {
      const Nanos until = sync::deadline_after(kPatience);
      Waited waited;
      do {
        waited = process_.channel->wait(What::message, until);
        if (waited == Waited::ready) read_answers();
      } while (waited == Waited::ready || waited == Waited::interrupted);
      if (waited == Waited::peer_gone || signal == 0) break;
      kill(signal);
    }
    forget_process();
  }

 private:
  void report() {
    if (finished_ != 0) x_.core->finished.fetch_add(std::exchange(finished_, 0), sync::relaxed);
  }

  // ---- calls out

  bool cancels_queued() const { return x_.core->cancel_queued.load(sync::relaxed); }

  // A process that is ready for calls. False: there can be none; the pool is broken now, or cancels what is queued.
  bool have_process() {
    if (process_.retiring) {
      while (!in_flight_.empty()) wait_for_answers();
      end_process();
    }
    if (process_.channel != nullptr && died_while_idle()) bury_process();
    return process_.channel != nullptr || start_process();
  }

  void begin(Future* future) {
    while (!send_call(future)) {
      bury_process();  // dead before it could take the call
      const bool possible = !cancels_queued() && have_process();
      if (cancels_queued()) {  // whoever killed it wants no other
        transition_to_pending(future);
        remote_.leave({.future = future, .kind = Report::unwanted, .cell = x_.cell});
        return;
      }
      if (!possible) {
        remote_.leave({.future = future, .kind = Report::refused, .cell = x_.cell});
        return;
      }
    }
    const Remote::Limits& limits = remote_.limits();
    if (limits.calls != 0 && process_.calls >= limits.calls) process_.retiring = true;
  }

  bool died_while_idle() {
    if (!in_flight_.empty()) return false;
    return process_.channel->wait(What::message, sync::now()) == Waited::peer_gone;
  }

  bool send_call(Future* future) {
    const PackedCall call = packed_call(future);
    OutgoingBuffers buffers;
    if (call.parcel != nullptr) {
      for (const auto& view : call.parcel->buffers) {
        buffers.add({view->data(), view->size(), view->is_read_only()}, *process_.writer);
      }
    }
    if (process_.definitions.size() >= kMostDefinitions) process_.definitions.clear();
    const bool known = call.number == 0 || !process_.definitions.insert(call.number).second;
    const std::string_view definition = known ? std::string_view() : call.definition;
    const std::string_view context = call.parcel == nullptr ? std::string_view() : std::string_view(call.parcel->context);
    const CallHeader header{.kind = CallHeader::call,
                            .buffers = static_cast<uint32_t>(buffers.entries.size()),
                            .id = ++last_id_,
                            .bytes = call.bytes.size(),
                            .definition = definition.size(),
                            .context = context.size()};
    std::vector<Piece> pieces{piece_of(header),
                              buffers.table(),
                              piece_of(call.bytes),
                              piece_of(definition),
                              piece_of(context)};
    pieces.insert(pieces.end(), buffers.pieces.begin(), buffers.pieces.end());
    if (!take_all_pieces(pieces)) return false;
    ++process_.calls;
    in_flight_.push_back({future, header.id});
    if (in_flight_.size() == 1) begin_first();
    flush();  // if it is dead by now, whoever waits for answers finds out
    return true;
  }

  bool send(CallHeader header, std::string_view bytes) {
    header.bytes = bytes.size();
    const Piece pieces[] = {piece_of(header), piece_of(bytes)};
    return send_pieces(pieces);
  }

  // Not to be called with calls under way. False: the process is dead.
  bool send_pieces(std::span<const Piece> pieces) { return take_all_pieces(pieces) && flush(); }

  // False: the process is dead, or was found to be and is buried.
  bool take_all_pieces(std::span<const Piece> pieces) {
    while (!process_.channel->try_send(pieces)) {
      if (!wait_for_room()) return false;
    }
    return true;
  }

  bool flush() {
    while (process_.channel != nullptr && !process_.channel->flush()) {
      if (!wait_for_room()) return false;
    }
    return process_.channel != nullptr;
  }

  // Answers are read meanwhile, or the process could not go on.
  bool wait_for_room() {
    if (process_.channel->wait(What::either, next_alarm()) == Waited::peer_gone) return false;
    on_alarm();
    (void)read_answers();
    return process_.channel != nullptr;
  }

  // The first of those under way is running now.
  void begin_first() {
    Future* future = in_flight_.front().future;
    RunCell& cell = *x_.cell;
    first_began_ = sync::now();
    cell.began_.store(first_began_, sync::relaxed);
    if (future->traced != nullptr) future->traced->began.store(first_began_, sync::relaxed);
    if (future->options != nullptr && future->options->timeout != sync::kForever) {
      // Before begin(): whoever locks the cell for this task then sees this task's deadline.
      const Nanos deadline = sync::deadline_after(future->options->timeout);
      cell.deadline_.store(deadline, sync::seq_cst);
      cell.begin(future->link);
      future->cell.store(&cell, sync::release);
      x_.core->arm(deadline);
      return;
    }
    cell.begin(future->link);
    future->cell.store(&cell, sync::release);
  }

  // After what its process has said.
  void leave(Report&& report) {
    if (asides_->any()) report.asides = asides_;
    remote_.leave(std::move(report));
  }

  // Takes the first of those under way, whose report this fills in.
  Report end_first(Report::Kind kind) {
    RunCell& cell = *x_.cell;
    const RunCell::Outcome outcome = cell.end();
    cell.deadline_.store(sync::kForever, sync::seq_cst);
    Report report{.future = in_flight_.front().future, .kind = kind, .interrupted = told_ || outcome.interrupted, .cell = &cell};
    in_flight_.pop_front();
    told_ = asked_back_ = false;
    alarm_ = sync::kForever;
    ++finished_;
    if (outcome.taken) {
      report.kind = Report::given_up;
      x_.core->abandoned.fetch_sub(1, sync::acq_rel);
      x_.core->scheduler.end_blocked();
    }
    return report;
  }

  // ---- answers

  void wait_for_answers() {
    if (read_answers()) return;
    switch (process_.channel->wait(What::message, next_alarm())) {
      case Waited::ready:
        (void)read_answers();
        return;
      case Waited::peer_gone:
        bury_process();
        return;
      case Waited::timed_out:
      case Waited::interrupted:
        on_alarm();
        return;
    }
  }

  // True: there was at least one.
  bool read_answers() {
    bool any = false;
    try {
      while (process_.channel != nullptr && !process_.scribbles) {
        const auto seen = process_.channel->peek();
        if (!seen) break;
        any = true;
        read(*seen);
        process_.channel->release();
      }
    } catch (const std::exception&) {  // nothing that it says can be believed
      process_.scribbles = true;
      kill(kKill);
      bury_process();
      return true;
    }
    return any;
  }

  void read(Piece message) {
    ReplyHeader header;
    std::memcpy(&header, take(&message, sizeof header).data(), sizeof header);
    const Piece entries = take(&message, header.buffers * sizeof(wire::BufferEntry));
    const Piece bytes = take(&message, header.bytes);
    switch (header.kind) {
      case ReplyHeader::answer: {
        if (in_flight_.empty() || in_flight_.front().id != header.id) throw channel::Corrupt("an answer that nobody asked for");
        Report report = end_first(header.raised != 0 ? Report::raised : Report::returned);
        report.uncalled = header.raised == 2;
        report.bytes.assign(text_of(bytes));
        report.buffers = incoming_buffers(entries, header.buffers, &message, *process_.reader);
        report.ended = report.future->traced != nullptr ? header.ended : 0;
        if (report.future->traced != nullptr) report.future->traced->began.store(header.began, sync::relaxed);
        adapt(header.ended - header.began);
        if (remote_.limits().memory != 0 && header.resident > remote_.limits().memory) process_.retiring = true;
        leave(std::move(report));
        if (!in_flight_.empty()) begin_first();
        break;
      }
      case ReplyHeader::given_back: {
        const auto found = std::find_if(in_flight_.begin(), in_flight_.end(), [&](const InFlight& one) { return one.id == header.id; });
        if (found == in_flight_.end() || found == in_flight_.begin()) throw channel::Corrupt("a call that it did not have");
        Future* future = found->future;
        in_flight_.erase(found);
        queue_again(future);
        break;
      }
      case ReplyHeader::ready:
        process_.ready = true;
        break;
      case ReplyHeader::failed:
        failure_.assign(text_of(bytes));
        has_failure_ = true;
        break;
      case ReplyHeader::aside:
        if (!remote_.leave_aside(asides_, text_of(bytes))) asides_->wait_for_room();
        break;
    }
  }

  // How many calls to have under way, by how long they take.
  void adapt(Nanos took) {
    average_ = average_ == 0 ? took : average_ + (took - average_) / 8;
    const Nanos worth = kWorthAhead / std::max<Nanos>(average_, 1);
    // What is ahead does not count as waiting: no more of it than may wait.
    const size_t most = x_.core->max_pending == 0 ? kMostAhead : std::min(kMostAhead, x_.core->max_pending);
    depth_ = static_cast<size_t>(std::clamp<Nanos>(worth, 1, static_cast<Nanos>(most)));
  }

  // Not begun by its process; the queue's reference goes along.
  void queue_again(Future* future) {
    transition_to_pending(future);
    const int priority = future->options == nullptr ? 0 : future->options->priority;
    if (x_.core->scheduler.submit(future->link, priority, nullptr)) want_worker();
  }

  // ---- interrupting

  Nanos next_alarm() const {
    const bool holds_up = in_flight_.size() > 1 && !asked_back_;
    return holds_up ? std::min(alarm_, first_began_ + kAskBack) : alarm_;
  }

  void on_alarm() {
    if (in_flight_.empty()) return;
    const Nanos now = sync::now();
    if (in_flight_.size() > 1 && !asked_back_ && now >= first_began_ + kAskBack) {
      asked_back_ = true;
      depth_ = 1;
      if (poke({.kind = CallHeader::give_back}, {})) kill(kPoke);
    }
    const Future* asked;
    std::string asked_for;
    {
      sync::LockGuard guard(asked_mutex_);
      asked = std::exchange(asked_, nullptr);
      asked_for = asked_for_;
    }
    Future* first = in_flight_.front().future;
    if (asked == first && is_asked_to_stop(first)) {
      if (poke({.kind = CallHeader::interrupt, .id = in_flight_.front().id}, asked_for)) kill(kPoke);
      if (!told_) {
        told_ = true;
        escalation_ = kTerminate;
        alarm_ = now + kPatience;
      }
    }
    if (now >= alarm_) {
      kill(escalation_);
      escalation_ = kKill;
      alarm_ = now + kPatience;
    }
  }

  // False: there is no room for the message now; whoever wants it asks again.
  bool poke(CallHeader header, std::string_view bytes) {
    header.bytes = bytes.size();
    const Piece pieces[] = {piece_of(header), piece_of(bytes)};
    if (process_.channel->is_sending() || !process_.channel->try_send(pieces)) return false;
    (void)process_.channel->flush();
    return true;
  }

  void kill(int signal) {
    home_.visit([&] {
      Owned done(process_.handle == nullptr ? nullptr : PyObject_CallMethod(process_.handle, "send_signal", "i", signal));
      PyErr_Clear();  // it is gone already
    });
  }

  // ---- processes

  // False: the pool is broken now, or cancels what is queued, and the process was killed.
  bool start_process() {
    for (int attempts = 1;; ++attempts) {
      switch (try_to_start(attempts == kAttempts)) {
        case Started::ready:
          return true;
        case Started::broken:
          return false;
        case Started::died:
          if (cancels_queued()) return false;
          break;
      }
    }
  }

  enum class Started { ready, died, broken };

  // One that is killed before it is ready says nothing about the next one, unless it is the last.
  Started try_to_start(bool last) {
    bool started = false;
    has_failure_ = false;
    home_.visit([&] {
      try {
        started = make_process();
      } catch (const std::exception& error) {
        PyErr_SetString(PyExc_OSError, error.what());
      }
      if (!started) remote_.fail_to_start({}, "");
    });
    if (!started) return Started::broken;
    while (!process_.ready && !has_failure_) {
      const Waited waited = process_.channel->wait(What::message, sync::kForever);
      if (waited == Waited::ready) read_answers();
      if (waited == Waited::peer_gone && !process_.ready && !has_failure_) break;
      if (x_.core->scheduler.phase() == Scheduler::Phase::stopping) break;
    }
    if (process_.ready) return Started::ready;
    const bool stopping = x_.core->scheduler.phase() == Scheduler::Phase::stopping;
    if (!has_failure_ && !last && !stopping) {
      forget_process();
      return Started::died;
    }
    const std::string failure = failure_;
    const int pid = process_.pid;
    const std::string message = has_failure_ ? "weft could not be imported in a fresh process; what it said is on stderr"
                                             : "worker process " + std::to_string(pid) + " died while it was starting";
    forget_process();
    home_.visit([&] {
      remote_.hear(*asides_);  // before its error
      remote_.fail_to_start(failure, message.c_str());
    });
    return Started::broken;
  }

  // Attached. False: an exception is set.
  bool make_process() {
    channel::ChannelPair pair = channel::make_pair({.prefer = remote_.limits().pipe ? channel::ChannelOptions::Prefer::pipe
                                                                                   : channel::ChannelOptions::Prefer::best,
                                                    .spins = x_.core->cpus > 2});  // three threads take turns at each task
    if (pair.no_shared_memory) remote_.warn_of_no_shared_memory(pair.no_shared_memory_because);
    const auto numbers = pair.child.get().in_order();
    const int kind = static_cast<int>(pair.kind) | (remote_.limits().memory != 0 ? kMeasure : 0);
    Owned descriptors(Py_BuildValue("(iiiii)", numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]));
    Owned greeting(descriptors ? remote_.greeting() : nullptr);
    Owned handle(greeting ? PyObject_CallFunction(remote_.source(), "iOO", kind, descriptors.get(), greeting.get())
                          : nullptr);
    Owned pid(handle ? PyObject_GetAttrString(handle.get(), "pid") : nullptr);
    Owned pidfd(pid ? PyObject_GetAttrString(handle.get(), "pidfd") : nullptr);
    if (!pidfd) return false;
    const long descriptor = PyLong_AsLong(pidfd.get());
    Process fresh;
    fresh.pid = static_cast<int>(PyLong_AsLong(pid.get()));
    if (PyErr_Occurred()) return false;
    fresh.channel = std::move(pair.parent);
    pair.child.close();
    if (descriptor >= 0) fresh.channel->watch(channel::Descriptor(static_cast<int>(descriptor)));
    fresh.reader = std::make_unique<channel::BlockReader>(fresh.channel->block_socket());
    fresh.writer = std::make_unique<channel::BlockWriter>(fresh.channel->block_socket());
    fresh.handle = handle.give();
    sync::LockGuard guard(asked_mutex_);
    process_ = std::move(fresh);
    return true;
  }

  // It is dead: the task that it ran fails, the others go back to the queue.
  void bury_process() {
    (void)read_answers();
    if (process_.channel == nullptr) return;  // that was the end of it
    const int pid = process_.pid;
    long status = 0;
    bool known = false;
    home_.visit([&] {
      Owned found(PyObject_CallMethod(process_.handle, "status", "d", 1.0));
      known = found && found.get() != Py_None;
      if (known) status = PyLong_AsLong(found.get());
      PyErr_Clear();
    });
    forget_process();
    if (!in_flight_.empty()) {
      Report report = end_first(Report::crashed);
      report.bytes = std::to_string(pid) + ' ' + (known ? std::to_string(status) : std::string("?"));
      if (report.kind == Report::given_up) report.bytes.clear();
      leave(std::move(report));
    }
    while (!in_flight_.empty()) {
      Future* future = in_flight_.front().future;
      in_flight_.pop_front();
      queue_again(future);
    }
    average_ = 0;
    depth_ = 1;
  }

  void forget_process() {
    Process gone;
    {
      sync::LockGuard guard(asked_mutex_);
      std::swap(gone, process_);
    }
    if (gone.handle != nullptr) {
      home_.visit([&] {
        Owned closed(PyObject_CallMethod(gone.handle, "close", nullptr));
        PyErr_Clear();
        Py_DECREF(gone.handle);  // SAFETY: make_process()'s reference
      });
    }
  }

  Executant& x_;
  Remote& remote_;
  Home home_;
  const std::shared_ptr<Asides> asides_;
  Process process_;
  std::deque<InFlight> in_flight_;
  uint64_t last_id_ = 0;
  uint64_t finished_ = 0;
  size_t depth_ = 1;
  Nanos average_ = 0;
  Nanos first_began_ = 0;
  bool asked_back_ = false;   // those behind the first
  bool told_ = false;         // the first was interrupted
  int escalation_ = kTerminate;
  Nanos alarm_ = sync::kForever;
  std::string failure_;
  bool has_failure_ = false;

  sync::Mutex asked_mutex_;  // guards the next two, and that `process_` is changed
  const Future* asked_ = nullptr;
  std::string asked_for_;
};

}  // namespace

void run_process_worker_thread(PoolCore* core, Worker& worker) {
  RunCell* cell = &worker.cell();
  cell->thread_id_.store(PyThread_get_thread_ident(), sync::relaxed);
  cell->native_id_.store(PyThread_get_thread_native_id(), sync::relaxed);
  cell->worker_.store(static_cast<int32_t>(worker.index()), sync::relaxed);
  Executant executant{core, cell, &worker, nullptr};
  PyThreadState* ours = PyEval_SaveThread();
  ProcessRunner runner(executant, ours);
  core->remote->add_child(cell, &runner);
  be_worker(&executant);
  core->scheduler.work(worker, runner);
  be_worker(nullptr);
  core->remote->remove_child(cell);
  runner.end_process();
  PyEval_RestoreThread(runner.ours());
  runner.hear_its_end();
}

}  // namespace weft::core
