// See interpreter.hpp. Frames here are on the stack while a task runs: plain pointers, no Owned, see there.

#include "remote/interpreter.hpp"

#include <unordered_map>

#include "remote/lent.hpp"
#include "tracing/trace.hpp"

namespace weft::core {

namespace {

constexpr uint32_t kBreath = 64;
constexpr size_t kMostFunctions = 4096;  // that a worker keeps: one that is forgotten is made again

// Objects of the child that the runner works with. All strong.
struct ChildSide {
  PyObject* working = nullptr;  // the module weft._payloads.working
  PyObject* load_function = nullptr;
  PyObject* unpack_call = nullptr;
  PyObject* pack_result = nullptr;
  PyObject* pack_failure = nullptr;
  PyObject* apply_context = nullptr;  // null until the first context arrives
  PyTypeObject* lent_type = nullptr;
  std::unordered_map<uint32_t, PyObject*> functions;

  // False: an exception is set.
  bool prepare(const std::string& setup) {
    working = PyImport_ImportModule("weft._payloads.working");
    if (working == nullptr || (load_function = PyObject_GetAttrString(working, "load_function")) == nullptr ||
        (unpack_call = PyObject_GetAttrString(working, "unpack_call")) == nullptr ||
        (pack_result = PyObject_GetAttrString(working, "pack_result")) == nullptr ||
        (pack_failure = PyObject_GetAttrString(working, "pack_failure")) == nullptr ||
        (lent_type = make_lent_type()) == nullptr) {
      return false;
    }
    PyObject* module = PyImport_ImportModule("weft._payloads.starting");
    PyObject* done = module == nullptr ? nullptr
                                       : PyObject_CallMethod(module, "start", "y#", setup.data(),
                                                             static_cast<Py_ssize_t>(setup.size()));
    Py_XDECREF(module);
    Py_XDECREF(done);
    return done != nullptr;
  }

  void forget_functions() {
    auto forgotten = std::exchange(functions, {});  // before their destructors run
    for (auto& [number, function] : forgotten) Py_DECREF(function);
  }

  void clear() {
    forget_functions();
    Py_CLEAR(working);
    Py_CLEAR(load_function);
    Py_CLEAR(unpack_call);
    Py_CLEAR(pack_result);
    Py_CLEAR(pack_failure);
    Py_CLEAR(apply_context);
    Py_CLEAR(lent_type);
  }
};

class InterpreterRunner final : public Runner {
 public:
  InterpreterRunner(Executant& executant, ChildSide& side, PyThreadState* ours, PyThreadState* child)
      : x_(executant), remote_(*executant.core->remote), side_(side), ours_(ours), child_(child) {}

  void attach() override { PyEval_RestoreThread(child_); }

  void detach() override {
    child_ = PyEval_SaveThread();
    report();
    if (remote_.has_reports()) in_ours([this] { remote_.settle_all(); });
  }

  void run(Task& task) override {
    remote_.settle_soon();
    Report report{.future = future_of(task), .kind = Report::dropped, .cell = x_.cell};
    if (x_.core->cancel_queued.load(sync::relaxed)) {
      report.kind = Report::unwanted;
    } else {
      run_claimed(report.future, &report);
    }
    remote_.leave(std::move(report));
    if (++since_breath_ < kBreath) return;
    this->report();
    if (!is_asked_to_pause()) return;
    child_ = PyEval_SaveThread();
    PyEval_RestoreThread(child_);
  }

  PyThreadState* ours() const { return ours_; }
  PyThreadState* child() const { return child_; }

  void want_worker() override {
    child_ = PyEval_SaveThread();
    in_ours([this] { start_worker_quietly(x_.core); });
    PyEval_RestoreThread(child_);
  }

 private:
  template <class Body>
  void in_ours(Body&& body) {
    PyEval_RestoreThread(ours_);
    x_.cell->attached_.store(true, sync::relaxed);
    body();
    ours_ = PyEval_SaveThread();
    x_.cell->attached_.store(false, sync::release);
  }

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

    const PackedCall call = packed_call(future);
    PyObject* own_context = enter_context(call);
    PyObject* result = PyErr_Occurred() ? nullptr : run_call(call);
    leave_context(own_context);
    // Packing runs code of the task's objects, so its time counts, and it can be interrupted.
    if (result != nullptr) pack_result(result, report);
    PyObject* error = PyErr_GetRaisedException();
    bool packed = error == nullptr || pack_failure(error, report);

    // From here on no interrupt meant for this task can be posted; one that was, and was not raised yet, is taken back.
    const RunCell::Outcome outcome = cell.end();
    if (timed) cell.deadline_.store(sync::kForever, sync::seq_cst);
    if (outcome.interrupted) PyThreadState_SetAsyncExc(cell.thread_id_.load(sync::relaxed), nullptr);
    if (!packed) {
      PyObject* instead = PyErr_GetRaisedException();  // interrupted while it was packed
      if (!pack_failure(instead, report)) {
        PyErr_WriteUnraisable(instead);
        report->bytes.clear();
      }
      Py_DECREF(instead);
    }
    Py_XDECREF(error);
    ++finished_;
    report->interrupted = outcome.interrupted;
    report->ended = future->traced != nullptr ? sync::now() : 0;
    if (outcome.taken) {
      report->kind = Report::given_up;
      core->abandoned.fetch_sub(1, sync::acq_rel);
      core->scheduler.end_blocked();
    }
  }

  // The context to leave afterwards, or null: the task runs in the worker's own. An exception may be set.
  PyObject* enter_context(const PackedCall& call) {
    if (call.parcel == nullptr || call.parcel->context.empty()) return nullptr;
    PyObject* own = PyContext_New();
    if (own == nullptr || PyContext_Enter(own) < 0) {
      Py_XDECREF(own);
      return nullptr;
    }
    if (side_.apply_context == nullptr) {
      PyObject* module = PyImport_ImportModule("weft._payloads.context");
      side_.apply_context = module == nullptr ? nullptr : PyObject_GetAttrString(module, "apply_context");
      Py_XDECREF(module);
      if (side_.apply_context == nullptr) return own;
    }
    const std::string& data = call.parcel->context;
    PyObject* bytes = PyBytes_FromStringAndSize(data.data(), static_cast<Py_ssize_t>(data.size()));
    PyObject* done = bytes == nullptr ? nullptr : PyObject_CallOneArg(side_.apply_context, bytes);
    Py_XDECREF(done);
    Py_XDECREF(bytes);
    return own;
  }

  void leave_context(PyObject* own) {
    PyObject* error = PyErr_GetRaisedException();
    core::leave_context(x_, own);
    PyErr_SetRaisedException(error);
  }

  PyObject* run_call(const PackedCall& call) {
    PyObject* message = is_pickle(call.bytes) ? unpickle(call) : unmarshal(call.bytes);
    if (message == nullptr) return nullptr;
    const long number = PyLong_AsLong(PyTuple_GET_ITEM(message, 0));
    PyObject* kwnames = PyTuple_GET_ITEM(message, 1);
    PyObject* function = number == 0 ? PyTuple_GET_ITEM(message, 2) : function_of(static_cast<uint32_t>(number), call.definition);
    PyObject* result = nullptr;
    if (function != nullptr) {
      const Py_ssize_t first = number == 0 ? 3 : 2;
      const bool keywords = kwnames != Py_None;
      const Py_ssize_t count = PyTuple_GET_SIZE(message) - first - (keywords ? PyTuple_GET_SIZE(kwnames) : 0);
      // SAFETY: the items of a tuple lie side by side, and the message is ours alone.
      PyObject* const* values = reinterpret_cast<PyTupleObject*>(message)->ob_item + first;
      result = PyObject_Vectorcall(function, values, static_cast<size_t>(count), keywords ? kwnames : nullptr);
    }
    Py_DECREF(message);
    return result;
  }

  PyObject* unpickle(const PackedCall& call) {
    PyObject* bytes = PyBytes_FromStringAndSize(call.bytes.data(), static_cast<Py_ssize_t>(call.bytes.size()));
    PyObject* buffers = PyList_New(0);
    bool good = bytes != nullptr && buffers != nullptr;
    if (call.parcel != nullptr) {
      for (const auto& view : call.parcel->buffers) {
        PyObject* lent = good ? lend(side_.lent_type, view) : nullptr;
        good = lent != nullptr && PyList_Append(buffers, lent) == 0;
        Py_XDECREF(lent);
      }
    }
    PyObject* message = good ? PyObject_CallFunctionObjArgs(side_.unpack_call, bytes, buffers, nullptr) : nullptr;
    Py_XDECREF(buffers);
    Py_XDECREF(bytes);
    return message;
  }

  // Borrowed; null with an exception set.
  PyObject* function_of(uint32_t number, std::string_view data) {
    const auto found = side_.functions.find(number);
    if (found != side_.functions.end()) return found->second;
    if (side_.functions.size() >= kMostFunctions) side_.forget_functions();
    PyObject* bytes = PyBytes_FromStringAndSize(data.data(), static_cast<Py_ssize_t>(data.size()));
    PyObject* function = bytes == nullptr ? nullptr : PyObject_CallOneArg(side_.load_function, bytes);
    Py_XDECREF(bytes);
    if (function != nullptr) side_.functions.emplace(number, function);
    return function;
  }

  // Takes the result over. Sets an exception if it can't be packed.
  void pack_result(PyObject* result, Report* report) {
    report->kind = Report::returned;
    if (is_plain(result)) {
      PyObject* bytes = marshal_plain(result);
      if (bytes != nullptr) report->bytes.assign(PyBytes_AS_STRING(bytes), static_cast<size_t>(PyBytes_GET_SIZE(bytes)));
      Py_XDECREF(bytes);
    } else {
      PyObject* pair = PyObject_CallOneArg(side_.pack_result, result);
      std::string_view data;
      PyObject* buffers;
      if (pair != nullptr && take_pickled(pair, &data, &buffers)) {
        report->bytes.assign(data);
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(buffers); ++i) {
          Py_buffer view;
          if (PyObject_GetBuffer(PyList_GET_ITEM(buffers, i), &view, PyBUF_SIMPLE) < 0) break;
          report->buffers.emplace_back(static_cast<const char*>(view.buf), static_cast<size_t>(view.len));
          PyBuffer_Release(&view);
        }
      }
      Py_XDECREF(pair);
    }
    Py_DECREF(result);
  }

  // False: an exception is set.
  bool pack_failure(PyObject* error, Report* report) {
    report->kind = Report::raised;
    report->buffers.clear();
    PyObject* bytes = PyObject_CallOneArg(side_.pack_failure, error);
    char* data;
    Py_ssize_t size;
    const bool packed = bytes != nullptr && PyBytes_AsStringAndSize(bytes, &data, &size) == 0;
    if (packed) report->bytes.assign(data, static_cast<size_t>(size));
    Py_XDECREF(bytes);
    return packed;
  }

  Executant& x_;
  Remote& remote_;
  ChildSide& side_;
  PyThreadState* ours_;
  PyThreadState* child_;
  uint32_t since_breath_ = 0;
  uint64_t finished_ = 0;
};

PyThreadState* new_interpreter() {
  PyInterpreterConfig config{};
  config.use_main_obmalloc = 0;
  config.allow_fork = 0;
  config.allow_exec = 0;
  config.allow_threads = 1;
  config.allow_daemon_threads = 0;
  config.check_multi_interp_extensions = 1;
  config.gil = PyInterpreterConfig_OWN_GIL;
  PyThreadState* made = nullptr;
  const PyStatus status = Py_NewInterpreterFromConfig(&made, &config);
  return PyStatus_Exception(status) ? nullptr : made;
}

// The exception that is set in the child, packed; empty if not even that is possible.
std::string packed_error(const ChildSide& side) {
  PyObject* error = PyErr_GetRaisedException();
  PyObject* bytes = side.pack_failure == nullptr ? nullptr : PyObject_CallOneArg(side.pack_failure, error);
  std::string packed;
  char* data;
  Py_ssize_t size;
  if (bytes != nullptr && PyBytes_AsStringAndSize(bytes, &data, &size) == 0) {
    packed.assign(data, static_cast<size_t>(size));
  } else {
    PyErr_WriteUnraisable(error);
  }
  PyErr_Clear();
  Py_XDECREF(bytes);
  Py_DECREF(error);
  return packed;
}

}  // namespace

void run_interpreter_worker(PoolCore* core, Worker& worker) {
  PyThreadState* ours = PyThreadState_Get();
  PyThreadState* child = new_interpreter();
  if (child == nullptr) {
    core->scheduler.cancel_reservation(worker);
    core->remote->fail_to_start({}, "no interpreter could be made");
    return;
  }
  RunCell* cell = &worker.cell();
  cell->thread_id_.store(PyThread_get_thread_ident(), sync::relaxed);
  cell->native_id_.store(PyThread_get_thread_native_id(), sync::relaxed);
  cell->worker_.store(static_cast<int32_t>(worker.index()), sync::relaxed);
  ChildSide side;
  Executant executant{core, cell, &worker, PyContext_New()};
  const bool entered = executant.base_context != nullptr && PyContext_Enter(executant.base_context) == 0;
  const bool prepared = entered && side.prepare(core->remote->setup());
  const std::string error = prepared ? std::string() : packed_error(side);
  PyInterpreterState* interpreter = PyInterpreterState_Get();
  child = PyEval_SaveThread();
  if (prepared) {
    core->remote->add_child(cell, interpreter);
    be_worker(&executant);
    InterpreterRunner runner(executant, side, ours, child);
    core->scheduler.work(worker, runner);
    be_worker(nullptr);
    ours = runner.ours();
    child = runner.child();
    core->remote->remove_child(cell);
  } else {
    core->scheduler.cancel_reservation(worker);
    PyEval_RestoreThread(ours);
    core->remote->fail_to_start(error, "");
    ours = PyEval_SaveThread();
  }
  PyEval_RestoreThread(child);
  side.clear();
  if (entered && PyContext_Exit(executant.base_context) < 0) PyErr_Clear();
  Py_XDECREF(executant.base_context);
  Py_EndInterpreter(child);
  PyEval_RestoreThread(ours);
}

}  // namespace weft::core
