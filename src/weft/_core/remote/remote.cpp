#include "remote/remote.hpp"

#include <algorithm>
#include <system_error>

#include "pool/pool.hpp"
#include "sync/signals.hpp"
#include "tracing/trace.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace weft::core {

namespace {

void name_this_thread() {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "weft-settler");
#elif defined(__APPLE__)
  pthread_setname_np("weft-settler");
#endif
}

void free_parcel(PyObject* capsule) {
  // SAFETY: made by pack_call() below.
  delete static_cast<Parcel*>(PyCapsule_GetPointer(capsule, nullptr));
}

// The views of what goes out of band; false with an exception set.
bool take_views(PyObject* buffers, Parcel* parcel) {
  parcel->buffers.reserve(static_cast<size_t>(PyList_GET_SIZE(buffers)));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(buffers); ++i) {
    Py_buffer view;
    if (PyObject_GetBuffer(PyList_GET_ITEM(buffers, i), &view, PyBUF_SIMPLE) < 0) return false;
    parcel->buffers.push_back(std::make_shared<LentView>(view, PyInterpreterState_Get()));
  }
  return true;
}

// (number, keyword names or None, *values)
PyObject* message_of(PyObject* number, PyObject* const* args, size_t count, PyObject* kwnames) {
  PyObject* message = PyTuple_New(static_cast<Py_ssize_t>(count) + 2);
  if (message == nullptr) return nullptr;
  PyTuple_SET_ITEM(message, 0, Py_NewRef(number));
  PyTuple_SET_ITEM(message, 1, Py_NewRef(kwnames == nullptr ? Py_None : kwnames));
  for (size_t i = 0; i < count; ++i) PyTuple_SET_ITEM(message, static_cast<Py_ssize_t>(i) + 2, Py_NewRef(args[i]));
  return message;
}

}  // namespace

Remote::Remote(PoolCore& core, PyObject* payloads, PyObject* functions, std::string setup, PyObject* source, Limits limits)
    : core_(core),
      setup_(std::move(setup)),
      limits_(limits),
      payloads_(Py_NewRef(payloads)),
      functions_(Py_NewRef(functions)),
      source_(Py_NewRef(source)) {}  // SAFETY: these are dropped by ~Remote

Remote::~Remote() {
  Py_XDECREF(reinterpret_cast<PyObject*>(lent_type_));  // SAFETY: a type is an object; the members' own references end here
  for (PyObject* object : {payloads_, functions_, zero_, str_numbered_, str_pack_call_, str_unpack_result_,
                           str_unpack_failure_, str_pack_context_, str_worker_crashed_, receive_, initializer_failed_,
                           source_}) {
    Py_XDECREF(object);
  }
}

bool Remote::prepare() {
  return (lent_type_ = make_lent_type()) != nullptr && (zero_ = PyLong_FromLong(0)) != nullptr &&
         (str_numbered_ = PyUnicode_InternFromString("numbered")) != nullptr &&
         (str_pack_call_ = PyUnicode_InternFromString("pack_call")) != nullptr &&
         (str_unpack_result_ = PyUnicode_InternFromString("unpack_result")) != nullptr &&
         (str_unpack_failure_ = PyUnicode_InternFromString("unpack_failure")) != nullptr &&
         (str_worker_crashed_ = PyUnicode_InternFromString("worker_crashed")) != nullptr &&
         (str_pack_context_ = PyUnicode_InternFromString("pack_context")) != nullptr &&
         (receive_ = PyObject_GetAttrString(payloads_, "receive")) != nullptr &&
         (initializer_failed_ = PyObject_GetAttrString(payloads_, "initializer_failed")) != nullptr;
}

PyObject* Remote::greeting() {
  PyObject* bytes = PyObject_CallMethod(payloads_, "greeting", "y#", setup_.data(), static_cast<Py_ssize_t>(setup_.size()));
  if (bytes == nullptr || PyBytes_CheckExact(bytes)) return bytes;
  Py_DECREF(bytes);  // SAFETY: the call's result, which is not handed out
  PyErr_SetString(PyExc_SystemError, "weft._payloads: expected bytes");
  return nullptr;
}

// ---- out ----------------------------------------------------------------------------------------------------------

bool Remote::pack_call(Future* future, PyObject* const* args, size_t positional, PyObject* kwnames) {
  Owned numbered(PyObject_CallMethodOneArg(functions_, str_numbered_, args[0]));
  if (!numbered) return false;
  const bool known = numbered.get() != Py_None;
  if (known && (!PyTuple_CheckExact(numbered.get()) || PyTuple_GET_SIZE(numbered.get()) != 2 ||
                !PyLong_CheckExact(PyTuple_GET_ITEM(numbered.get(), 0)) || !PyBytes_CheckExact(PyTuple_GET_ITEM(numbered.get(), 1)))) {
    PyErr_SetString(PyExc_SystemError, "weft._payloads: expected (number, definition)");
    return false;
  }
  PyObject* number = known ? PyTuple_GET_ITEM(numbered.get(), 0) : zero_;
  const size_t first = known ? 1 : 0;  // without a number the first value is what to call
  const size_t keywords = kwnames == nullptr ? 0 : static_cast<size_t>(PyTuple_GET_SIZE(kwnames));
  Owned message(message_of(number, args + first, positional - first + keywords, kwnames));
  if (!message) return false;
  std::unique_ptr<Parcel> parcel;
  Owned bytes;
  if (is_plain(message.get())) {
    bytes = Owned(marshal_plain(message.get()));
    if (!bytes) return false;
  } else {
    Owned values(PyTuple_GetSlice(message.get(), 2, PyTuple_GET_SIZE(message.get())));
    Owned pair(values ? PyObject_CallMethodObjArgs(payloads_, str_pack_call_, number, PyTuple_GET_ITEM(message.get(), 1),
                                                   values.get(), nullptr)
                      : nullptr);
    std::string_view data;
    PyObject* buffers;
    if (!pair || !take_pickled(pair.get(), &data, &buffers)) return false;
    bytes = Owned(Py_NewRef(PyTuple_GET_ITEM(pair.get(), 0)));
    if (PyList_GET_SIZE(buffers) > 0) {
      parcel = std::make_unique<Parcel>();
      if (!take_views(buffers, parcel.get())) return false;
    }
  }
  if (future->context != nullptr) {
    Owned context(std::exchange(future->context, nullptr));
    Owned packed(PyObject_CallMethodOneArg(payloads_, str_pack_context_, context.get()));
    if (!packed) return false;
    if (packed.get() != Py_None) {
      char* data;
      Py_ssize_t size;
      if (PyBytes_AsStringAndSize(packed.get(), &data, &size) < 0) return false;
      if (parcel == nullptr) parcel = std::make_unique<Parcel>();
      parcel->context.assign(data, static_cast<size_t>(size));
    }
  }
  Owned capsule(parcel == nullptr ? Py_NewRef(Py_None) : PyCapsule_New(parcel.get(), nullptr, free_parcel));
  if (!capsule) return false;
  (void)parcel.release();  // the capsule's, or null
  const bool named = positional > 1 && names_first_argument(core_.state, args[0]);
  PyObject* parts[] = {args[0], bytes.get(), capsule.get(), numbered.get(), named ? args[1] : nullptr};
  return fill_call(future, parts, named ? 5 : 4, nullptr);
}

// ---- interrupting -------------------------------------------------------------------------------------------------

namespace {

// Borrowed; never null. The caller's own class only if the interpreter has loaded it already: a class that a task has never
// heard of means nothing to it, and its module may run anything.
PyObject* exception_class_in_here(const std::string& module, const std::string& name) {
  Owned holder(Py_XNewRef(PyDict_GetItemString(PyImport_GetModuleDict(), module.c_str())));
  if (!holder) holder = Owned(PyImport_ImportModule("weft.errors"));
  Owned found(holder ? PyObject_GetAttrString(holder.get(), name.c_str()) : nullptr);
  if (!found) {
    PyErr_Clear();
    found = Owned(holder ? PyObject_GetAttrString(holder.get(), "Interrupted") : nullptr);
  }
  PyErr_Clear();
  return found && PyExceptionClass_Check(found.get()) ? found.get() : PyExc_KeyboardInterrupt;  // its module keeps it
}

}  // namespace

bool is_asked_to_stop(Future* future) {
  const Extras* extras = future->extras.load(sync::acquire);
  return (future->word.load(sync::acquire) & word::kTimedOut) != 0 ||
         (extras != nullptr && extras->interrupt.load(sync::seq_cst) != nullptr);
}

void Remote::add_child(RunCell* cell, PyInterpreterState* interpreter, const Atomic<bool>* calling) {
  sync::LockGuard guard(children_mutex_);
  children_.push_back(std::make_unique<Child>());
  children_.back()->cell = cell;
  children_.back()->interpreter = interpreter;
  children_.back()->calling = calling;
}

// A request and the start of the task's function: the request is left first, then `calling` is read; the worker sets that
// first, then looks for requests. So one of the two sees the other (both are seq_cst, and the mutex orders the rest). True: it
// is the worker's; false: the function runs, and the request is the visitor's to post.
bool Remote::put_off(Child& child, Request request) {
  {
    sync::LockGuard guard(children_mutex_);
    child.early = request;
  }
  if (!child.calling->load(sync::seq_cst)) return true;
  sync::LockGuard guard(children_mutex_);
  return std::exchange(child.early, Request{}).future == nullptr;
}

bool Remote::raise_early_interrupt(RunCell* cell, const Future* future) {
  Request request;
  {
    sync::LockGuard guard(children_mutex_);
    for (const auto& child : children_) {
      if (child->cell == cell) request = std::exchange(child->early, Request{});
    }
  }
  if (request.future == future && request.type != nullptr) {
    PyErr_SetNone(request.type);
    return true;
  }
  // Its time is over before it has begun, and what was posted for that may have been swallowed by an import.
  if ((future->word.load(sync::acquire) & word::kTimedOut) == 0) return false;
  PyErr_SetNone(exception_class_in_here("weft.errors", "Interrupted"));
  return true;
}

void Remote::add_child(RunCell* cell, Interrupter* interrupter) {
  sync::LockGuard guard(children_mutex_);
  children_.push_back(std::make_unique<Child>());
  children_.back()->cell = cell;
  children_.back()->interrupter = interrupter;
}

void Remote::remove_child(RunCell* cell) {
  std::unique_ptr<Child> child;
  {
    sync::LockGuard guard(children_mutex_);
    const auto found = std::find_if(children_.begin(), children_.end(), [&](const auto& one) { return one->cell == cell; });
    child = std::move(*found);
    children_.erase(found);
  }
  if (child->visitor.joinable()) child->visitor.join();
}

void Remote::interrupt(RunCell* cell, const Future* future, std::string module, std::string name) {
  sync::LockGuard guard(children_mutex_);
  for (const auto& child : children_) {
    if (child->cell != cell) continue;
    if (child->interrupter != nullptr) {
      child->interrupter->interrupt(future, module, name);
      return;
    }
    child->wanted = future;
    child->module = std::move(module);
    child->name = std::move(name);
    if (child->visiting) return;  // it looks again before it goes
    if (child->visitor.joinable()) child->visitor.join();  // it has gone, but for its last instructions
    sync::SignalsBlocked blocked;
    try {
      child->visitor = std::thread([this, visited = child.get()] { visit(*visited); });
      child->visiting = true;
    } catch (const std::system_error&) {
      // No more threads. Who asked asks again, if it is the timer.
    }
    return;
  }
}

void Remote::visit(Child& child) {
  PyThreadState* thread = PyThreadState_New(child.interpreter);
  PyEval_RestoreThread(thread);  // when the task's code lets go
  for (;;) {
    const Future* wanted;
    std::string module, name;
    {
      sync::LockGuard guard(children_mutex_);
      wanted = std::exchange(child.wanted, nullptr);
      if (wanted == nullptr) {
        child.visiting = false;
        break;
      }
      module = std::move(child.module);
      name = std::move(child.name);
    }
    PyObject* type = exception_class_in_here(module, name);
    Task* task = child.cell->lock_any();
    if (task == nullptr) {
      // The code held the GIL until it was too late: its caller has gone on without it. It is to end all the same.
      if (child.cell->post_to_taken(wanted->link)) PyThreadState_SetAsyncExc(child.cell->thread_id_.load(sync::relaxed), type);
      continue;
    }
    Future* future = future_of(*task);
    const bool timed_out = (future->word.load(sync::acquire) & word::kTimedOut) != 0;
    if (future == wanted && is_asked_to_stop(future) && (timed_out || !put_off(child, {future, type}))) {
      PyThreadState_SetAsyncExc(child.cell->thread_id_.load(sync::relaxed), type);
      child.cell->unlock_posted();
    } else {
      child.cell->unlock();
    }
  }
  PyThreadState_Clear(thread);
  PyThreadState_DeleteCurrent();
}

void Remote::warn_of_no_shared_memory(const std::string& because) {
  if (warned_.exchange(true, sync::relaxed)) return;
  Owned text(PyUnicode_DecodeFSDefault(because.c_str()));
  if (text) {
    warn("there is no shared memory for worker processes (%s): they are spoken to through pipes, which is slower", text.get());
  } else {
    PyErr_WriteUnraisable(nullptr);
  }
}

void Remote::fail_to_start(const std::string& failure, const char* message) {
  Owned bytes(failure.empty() ? nullptr : PyBytes_FromStringAndSize(failure.data(), static_cast<Py_ssize_t>(failure.size())));
  Owned cause(bytes ? PyObject_CallMethodOneArg(payloads_, str_unpack_failure_, bytes.get()) : nullptr);
  if (!cause) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, message);
    cause = Owned(PyErr_GetRaisedException());
  }
  fail_initializer(&core_, cause.get());
}

// ---- back ---------------------------------------------------------------------------------------------------------

void Remote::leave(Report&& report) {
  sync::LockGuard guard(outbox_mutex_);
  outbox_.push_back(std::move(report));
  full_.store(true, sync::relaxed);
}

bool Remote::leave_aside(const std::shared_ptr<Asides>& asides, std::string_view message) {
  if (asides->leave(message)) leave({.future = nullptr, .kind = Report::aside, .asides = asides});
  settle_soon();
  return !asides->is_full();
}

void Remote::settle_soon() {
  if (!full_.load(sync::relaxed)) return;
  uint32_t seen = bell_.load(sync::acquire);
  if (seen == static_cast<uint32_t>(Bell::rung) || seen == static_cast<uint32_t>(Bell::stop)) return;
  if (seen == static_cast<uint32_t>(Bell::silent)) {
    sync::LockGuard guard(settler_mutex_);
    if (!settler_.joinable()) {
      sync::SignalsBlocked blocked;
      try {
        settler_ = std::thread([this] { run_settler(); });
      } catch (const std::system_error&) {
        return;  // no more threads: the worker settles them when it has nothing else to do
      }
    }
  }
  while (seen != static_cast<uint32_t>(Bell::rung) && seen != static_cast<uint32_t>(Bell::stop)) {
    if (!bell_.compare_exchange_weak(seen, static_cast<uint32_t>(Bell::rung), sync::acq_rel, sync::acquire)) continue;
    if (seen == static_cast<uint32_t>(Bell::asleep)) sync::unpark_all(bell_);
    return;
  }
}

void Remote::run_settler() {
  name_this_thread();
  PyThreadState* thread = PyThreadState_New(core_.state->interpreter);
  for (;;) {
    uint32_t rung = static_cast<uint32_t>(Bell::rung);
    if (!bell_.compare_exchange_strong(rung, static_cast<uint32_t>(Bell::silent), sync::acq_rel, sync::acquire)) {
      if (rung == static_cast<uint32_t>(Bell::stop)) break;
      uint32_t silent = static_cast<uint32_t>(Bell::silent);
      (void)bell_.compare_exchange_strong(silent, static_cast<uint32_t>(Bell::asleep), sync::acq_rel, sync::acquire);
      (void)sync::park(bell_, static_cast<uint32_t>(Bell::asleep), sync::kForever);
      continue;
    }
    PyEval_RestoreThread(thread);
    settle_all();
    thread = PyEval_SaveThread();
  }
  PyEval_RestoreThread(thread);
  settle_all();
  PyThreadState_Clear(thread);
  PyThreadState_DeleteCurrent();
}

void Remote::stop_settler() {
  std::thread settler;
  {
    sync::LockGuard guard(settler_mutex_);
    if (!settler_.joinable()) return;
    settler = std::move(settler_);
  }
  bell_.store(static_cast<uint32_t>(Bell::stop), sync::seq_cst);
  sync::unpark_all(bell_);
  if (settler.get_id() == std::this_thread::get_id()) {
    settler.detach();  // the pool was dropped by a callback
  } else {
    settler.join();
  }
}

void Remote::settle_all() {
  std::vector<Report> reports;
  {
    sync::LockGuard guard(outbox_mutex_);
    reports.swap(outbox_);
    full_.store(false, sync::relaxed);
  }
  for (Report& report : reports) settle(report);
}

void Remote::hear(Asides& asides) {
  settle_all();
  if (asides.any()) asides.say(receive_, core_.name_prefix);
}

void Remote::settle(Report& report) {
  if (report.asides != nullptr) report.asides->say(receive_, core_.name_prefix);
  Future* future = report.future;
  if (future == nullptr) return;
  if (report.kind == Report::unwanted) {
    const int cancelled = transition_to_settled(future, TaskState::pending, TaskState::cancelled, nullptr);
    if (cancelled < 0) PyErr_WriteUnraisable(future->object());
    if (cancelled == 1) release_call(future);
  } else if (report.kind == Report::given_up) {
    release_call(future);
  } else if (report.kind != Report::dropped) {
    PyObject* result = nullptr;
    PyObject* error = nullptr;
    if (report.kind == Report::returned) {
      result = unpacked_result(report);
      if (result == nullptr) error = PyErr_GetRaisedException();
    } else {
      error = error_of(report);
      if (error == nullptr) error = PyErr_GetRaisedException();
    }
    if (error != nullptr) say_whether_it_ran(error, !report.uncalled);
    if (error != nullptr && report.interrupted) error = what_interrupted(future, error);
    finish_task({&core_, report.cell, report.ended}, future, result, error, report.interrupted);
  }
  Py_DECREF(future->object());  // SAFETY: the queue's reference
}

// An error about what should have crossed is told whether its task had begun by then; whatever the task itself has raised had.
void Remote::say_whether_it_ran(PyObject* error, bool ran) {
  PyObject* type = error_class(core_.state, "PayloadError");
  if (type == nullptr || (PyErr_GivenExceptionMatches(error, type) != 0 &&
                          PyObject_SetAttrString(error, "ran", ran ? Py_True : Py_False) < 0)) {
    PyErr_Clear();
  }
}

// What a task was interrupted with while its function was loaded or its arguments were made is wrapped in an error that says
// that these failed: here it is itself again. Takes the error over.
PyObject* Remote::what_interrupted(Future* future, PyObject* error) {
  Extras* extras = future->extras.load(sync::acquire);
  Owned asked(extras == nullptr ? nullptr : extras->interrupt.exchange(nullptr, sync::acq_rel));
  PyObject* wrapper = error_class(core_.state, "PayloadError");
  if (wrapper == nullptr) PyErr_Clear();
  if (!asked || wrapper == nullptr || !PyErr_GivenExceptionMatches(error, wrapper)) return error;
  PyObject* cause = PyException_GetCause(error);
  if (cause == nullptr || !PyErr_GivenExceptionMatches(cause, asked.get())) {
    Py_XDECREF(cause);  // SAFETY: PyException_GetCause gave it
    return error;
  }
  Py_DECREF(error);  // SAFETY: taken over
  return cause;
}

PyObject* Remote::error_of(const Report& report) {
  if (report.kind == Report::refused) return Py_XNewRef(core_.broken_by.load(sync::acquire));
  Owned bytes(PyBytes_FromStringAndSize(report.bytes.data(), static_cast<Py_ssize_t>(report.bytes.size())));
  if (!bytes) return nullptr;
  if (report.kind == Report::raised) return PyObject_CallMethodOneArg(payloads_, str_unpack_failure_, bytes.get());
  Owned name(task_name(report.future->options, report.future->call.callable, core_.state));
  return PyObject_CallMethodObjArgs(payloads_, str_worker_crashed_, bytes.get(), name.get(), nullptr);
}

PyObject* Remote::unpacked_result(const Report& report) {
  if (!is_pickle(report.bytes)) return unmarshal(report.bytes);
  Owned bytes(PyBytes_FromStringAndSize(report.bytes.data(), static_cast<Py_ssize_t>(report.bytes.size())));
  Owned buffers(PyList_New(0));
  for (const auto& memory : report.buffers) {
    Owned lent(bytes && buffers ? lend(lent_type_, memory) : nullptr);
    if (!lent || PyList_Append(buffers.get(), lent.get()) < 0) return nullptr;
  }
  if (!bytes || !buffers) return nullptr;
  return PyObject_CallMethodObjArgs(payloads_, str_unpack_result_, bytes.get(), buffers.get(), nullptr);
}

}  // namespace weft::core
