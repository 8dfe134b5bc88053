// See interpreter.hpp. Frames here are on the stack while a task runs: plain pointers, no Owned, see python.hpp.

#include "remote/interpreter.hpp"

#include "remote/callee.hpp"
#include "remote/home.hpp"
#include "remote/own_interpreter.hpp"
#include "tracing/trace.hpp"

namespace weft::core {

namespace {

constexpr uint32_t kBreath = 64;

// What the functions of an interpreter's that take what it says know. Lives as long as the interpreter.
struct Mouth {
  Remote& remote;
  std::shared_ptr<Asides> asides;
};

// say(message): any thread of the interpreter's.
PyObject* say(PyObject* self, PyObject* message) {
  // SAFETY: made by run_interpreter_worker(), with nothing else in it.
  auto* mouth = static_cast<Mouth*>(PyCapsule_GetPointer(self, nullptr));
  char* data;
  Py_ssize_t size;
  if (mouth == nullptr || PyBytes_AsStringAndSize(message, &data, &size) < 0) return nullptr;
  if (!mouth->remote.leave_aside(mouth->asides, {data, static_cast<size_t>(size)})) {
    detached([mouth] { mouth->asides->wait_for_room(); });
  }
  Py_RETURN_NONE;
}

PyMethodDef say_function = {"weft_say", say, METH_O, "Tell the caller's side. Internal."};

class InterpreterRunner final : public Runner, public Callee::Watcher {
 public:
  InterpreterRunner(Executant& executant, Callee& callee, const Mouth& mouth, PyThreadState* ours, PyThreadState* child)
      : x_(executant), remote_(mouth.remote), callee_(callee), mouth_(mouth), home_(executant, ours), child_(child) {}

  void attach() override { PyEval_RestoreThread(child_); }

  void detach() override {
    child_ = PyEval_SaveThread();
    report();
    home_.settle(remote_);
  }

  void run(Task& task) override {
    remote_.settle_soon();
    Report report{.future = future_of(task), .kind = Report::dropped, .cell = x_.cell};
    if (x_.core->cancel_queued.load(sync::relaxed)) {
      report.kind = Report::unwanted;
    } else {
      run_claimed(report.future, &report);
    }
    if (mouth_.asides->any()) report.asides = mouth_.asides;
    remote_.leave(std::move(report));
    if (++since_breath_ < kBreath) return;
    this->report();
    if (!is_asked_to_pause()) return;
    child_ = PyEval_SaveThread();
    PyEval_RestoreThread(child_);
  }

  const Atomic<bool>* calling() const { return &calling_; }
  PyThreadState* ours() const { return home_.state(); }
  PyThreadState* child() const { return child_; }

  void want_worker() override {
    child_ = PyEval_SaveThread();
    home_.visit([this] { start_worker_quietly(x_.core); });
    PyEval_RestoreThread(child_);
  }

 private:
  void report() {
    since_breath_ = 0;
    if (finished_ != 0) x_.core->finished.fetch_add(std::exchange(finished_, 0), sync::relaxed);
  }

  // Fills in the report, unless somebody else has the task.
  void run_claimed(Future* future, Report* report) {
    RunCell& cell = *x_.cell;
    PoolCore* core = x_.core;
    const bool timed = future->options != nullptr && future->options->timeout != sync::kForever;
    Nanos deadline = sync::kForever;
    if (timed) {
      // Before begin(): whoever locks the cell for this task then sees this task's deadline.
      deadline = sync::deadline_after(future->options->timeout);
      cell.deadline_.store(deadline, sync::seq_cst);
    }
    cell.begin(future->link);
    if (!transition_to_running(future)) {
      (void)cell.end();
      if (timed) cell.deadline_.store(sync::kForever, sync::seq_cst);
      return;
    }
    future->cell.store(&cell, sync::release);
    if (timed) core->arm(deadline);
    const Nanos began = sync::now();
    cell.began_.store(began, sync::relaxed);
    if (future->traced != nullptr) future->traced->began.store(began, sync::relaxed);

    // Unpacking and packing run code of the task's objects: so their time counts, and they can be interrupted.
    const PackedCall packed = packed_call(future);
    CallIn in{.bytes = packed.bytes, .definition = packed.definition};
    if (packed.parcel != nullptr) {
      in.context = packed.parcel->context;
      in.buffers = {packed.parcel->buffers.begin(), packed.parcel->buffers.end()};
    }
    Answer answer;
    current_ = future;
    const bool answered = callee_.run(in, &answer, *this);

    // From here on no interrupt meant for this task can be posted; one that was, and was not raised yet, is taken back.
    const RunCell::Outcome outcome = cell.end();
    if (timed) cell.deadline_.store(sync::kForever, sync::seq_cst);
    if (outcome.interrupted) PyThreadState_SetAsyncExc(cell.thread_id_.load(sync::relaxed), nullptr);
    if (!answered) {
      PyObject* error = PyErr_GetRaisedException();  // interrupted while its failure was packed
      if (!callee_.pack_failure(error, &answer)) PyErr_WriteUnraisable(error);
      Py_DECREF(error);  // SAFETY: taken from the thread state above
    }
    report->uncalled = answer.raised && !callee_.called();
    take(answer, report);
    ++finished_;
    report->interrupted = outcome.interrupted;
    report->ended = future->traced != nullptr ? sync::now() : 0;
    if (outcome.taken) {
      report->kind = Report::given_up;
      core->abandoned.fetch_sub(1, sync::acq_rel);
      core->scheduler.end_blocked();
    }
  }

  static void take(Answer& answer, Report* report) {
    report->kind = answer.raised ? Report::raised : Report::returned;
    if (answer.bytes != nullptr) report->bytes.assign(answer.text());
    for (const Py_buffer& view : answer.buffers) {
      report->buffers.push_back(std::make_shared<CopiedMemory>(view.buf, static_cast<size_t>(view.len)));
    }
    answer.clear();
  }

  // Interrupts are raised between these two; but for those of a timeout, since an import may hang.
  bool begins() override {
    calling_.store(true, sync::seq_cst);
    if (!is_asked_to_stop(current_)) return true;
    return !remote_.raise_early_interrupt(x_.cell, current_);
  }
  void ended() override { calling_.store(false, sync::relaxed); }

  Executant& x_;
  Remote& remote_;
  Callee& callee_;
  const Mouth& mouth_;
  Home home_;
  PyThreadState* child_;
  Future* current_ = nullptr;
  Atomic<bool> calling_{false};
  uint32_t since_breath_ = 0;
  uint64_t finished_ = 0;
};

// The exception that is set in the child, packed; empty if not even that is possible.
std::string packed_error(Callee& callee) {
  PyObject* error = PyErr_GetRaisedException();
  Answer answer;
  std::string packed;
  if (callee.pack_failure(error, &answer)) {
    packed.assign(answer.text());
  } else {
    PyErr_SetRaisedException(Py_NewRef(error));
    PyErr_WriteUnraisable(nullptr);
  }
  PyErr_Clear();
  answer.clear();
  Py_DECREF(error);  // SAFETY: taken from the thread state above
  return packed;
}

}  // namespace

void run_interpreter_worker(PoolCore* core, Worker& worker) {
  PyThreadState* ours = PyThreadState_Get();
  PyObject* told = core->remote->greeting();
  if (told == nullptr) {
    core->scheduler.cancel_reservation(worker);
    core->remote->fail_to_start({}, "");
    return;
  }
  const std::string greeting(PyBytes_AS_STRING(told), static_cast<size_t>(PyBytes_GET_SIZE(told)));
  Py_DECREF(told);  // SAFETY: greeting()'s reference
  PyThreadState* child = enter_own_interpreter(core->remote->source());
  if (child == nullptr) {
    core->scheduler.cancel_reservation(worker);
    core->remote->fail_to_start({}, "no interpreter could be made");
    return;
  }
  RunCell* cell = &worker.cell();
  cell->thread_id_.store(PyThread_get_thread_ident(), sync::relaxed);
  cell->native_id_.store(PyThread_get_thread_native_id(), sync::relaxed);
  cell->worker_.store(static_cast<int32_t>(worker.index()), sync::relaxed);
  Callee callee;
  Mouth mouth{*core->remote, std::make_shared<Asides>(static_cast<uint32_t>(worker.index()))};
  Executant executant{core, cell, &worker, nullptr};
  PyObject* capsule = PyCapsule_New(&mouth, nullptr, nullptr);
  const bool prepared = capsule != nullptr && callee.prepare(greeting, &say_function, capsule);
  Py_XDECREF(capsule);  // SAFETY: the function that say() is has its own reference
  const std::string error = prepared ? std::string() : packed_error(callee);
  PyInterpreterState* interpreter = PyInterpreterState_Get();
  child = PyEval_SaveThread();
  if (prepared) {
    be_worker(&executant);
    InterpreterRunner runner(executant, callee, mouth, ours, child);
    core->remote->add_child(cell, interpreter, runner.calling());
    core->scheduler.work(worker, runner);
    be_worker(nullptr);
    core->remote->remove_child(cell);
    ours = runner.ours();
    child = runner.child();
  } else {
    core->scheduler.cancel_reservation(worker);
    PyEval_RestoreThread(ours);
    core->remote->hear(*mouth.asides);  // the initializer, before its error
    core->remote->fail_to_start(error, "weft could not be imported in a fresh interpreter; what it said is on stderr");
    ours = PyEval_SaveThread();
  }
  PyEval_RestoreThread(child);
  callee.end();
  callee.clear();
  Py_EndInterpreter(child);
  PyEval_RestoreThread(ours);
  core->remote->hear(*mouth.asides);  // its end
}

}  // namespace weft::core
