// Worker threads: a Python thread that calls an Entry, which is the life of one worker.
//
// The threads are threading.Thread objects, made by Python code that the pool was given: so they have names, show up in
// threading.enumerate(), and profilers and debuggers know them. The Entry owns the reservation of its worker: an Entry
// that is never called gives it back. A signal handler may raise while a thread is started; threading then forgets the
// thread, which ends before it calls its Entry, or it goes on: so whoever starts one takes the reservation back if the start
// raised, unless the thread was quicker, and tries again if there is work.
//
// While it has work the worker stays attached and runs one task after the other. Every kBreath tasks it looks whether it
// should let go, since builtin functions never do: without it nothing else would get the GIL. Only if it is asked to: a GIL
// that is let go and taken again at once wakes a thread that waits for it in vain, and has it wait anew before it asks; two
// workers did that to the main thread for seconds. On a free-threaded build it always lets go, so that whoever wants to can
// stop the world.

#include <algorithm>

#include "pool/pool.hpp"
#include "remote/interpreter.hpp"

#ifdef WEFT_PROCESSES
#include "remote/process.hpp"
#endif

namespace weft::core {

namespace {

constexpr uint32_t kBreath = 64;
constexpr int kDetachSpins = 50;  // about a microsecond
constexpr uint32_t kWindow = 64;
constexpr Nanos kLongTask = 20 * sync::kMicrosecond;

thread_local Executant* this_worker = nullptr;

class ThreadRunner final : public Runner {
 public:
  explicit ThreadRunner(Executant& executant) : x_(executant) {}

  void attach() override {
    let_submitter_detach();
    attach_now();
  }

  void detach() override {
    if (!kGil) catch_up();
    thread_ = PyEval_SaveThread();
    if (kGil) x_.cell->attached_.store(false, sync::release);
    unpark_deferred(x_);
    report();
  }

  void run(Task& task) override {
    Future* future = future_of(task);
    PoolCore* core = x_.core;
    unpark_deferred(x_);
    if (clocked_ || ++runs_ % kWindow == 0) read_clock();
    if (core->cancel_queued.load(sync::relaxed)) {
      cancel(future);
    } else if (execute(x_, future)) {
      ++finished_;
    }
    Py_DECREF(future->object());  // SAFETY: the queue's reference
    if (fork_generation.load(sync::relaxed) != core->generation) end_forked_child();
    if (++since_breath_ < kBreath) return;
    if (kGil && !is_asked_to_pause()) {
      report();
      return;
    }
    detach();
    attach_now();
  }

  void want_worker() override { start_worker_quietly(x_.core); }

 private:
  void attach_now() {
    PyEval_RestoreThread(thread_);
    if (kGil) x_.cell->attached_.store(true, sync::relaxed);
  }

  // Whoever submitted the task that ended our idleness still has the GIL, and lets go of it in an instant if the next
  // thing is to wait for the result; asking for it now would mean to sleep for it.
  void let_submitter_detach() {
    if (!kGil) return;
    const auto& waiting = x_.core->state->waiting;
    for (int i = 0; i < kDetachSpins && waiting.load(sync::relaxed) == 0; ++i) sync::cpu_relax();
  }

  // Without a GIL an object ends on the thread that made it: others that drop it leave it to that thread, which looks after
  // such objects between two bytecodes. A worker that runs builtin functions executes none, and would keep every result
  // for ever. (Garbage collections wait for the same moment.) Pinned by test_faults.py, "memory does not grow".
  void catch_up() {
    if (!is_asked_to_pause()) return;
    PyObject* done = PyObject_CallNoArgs(x_.core->state->no_op);
    if (done == nullptr) PyErr_WriteUnraisable(nullptr);
    Py_XDECREF(done);
  }

  // When the task that runs has begun, for weft.debug.dump(): read for each task only where tasks take long, compared with
  // that; else once for so many. Then it is a bound, and tasks are so short that it is a good one.
  void read_clock() {
    const Nanos now = sync::now();
    x_.cell->began_.store(now, sync::relaxed);
    if (clocked_ && ++runs_ % kWindow != 0) return;
    clocked_ = now - window_began_ > kWindow * kLongTask;
    window_began_ = now;
  }

  void report() {
    since_breath_ = 0;
    if (finished_ != 0) x_.core->finished.fetch_add(std::exchange(finished_, 0), sync::relaxed);
  }

  static void cancel(Future* future) {
    const int cancelled = transition_to_settled(future, TaskState::pending, TaskState::cancelled, nullptr);
    if (cancelled < 0) PyErr_WriteUnraisable(future->object());
    if (cancelled == 1) release_call(future);
  }

  // The task forked and returned in the child instead of ending there. This thread is the child's only one; the queues
  // are those of the parent, whose locks may be held by nobody.
  [[noreturn]] static void end_forked_child() {
    PySys_WriteStderr("weft: a task called os.fork() and returned in the child; the child ends here "
                      "(end it with os._exit() in the task)\n");
    _Exit(1);
  }

  Executant& x_;
  PyThreadState* thread_ = nullptr;
  uint32_t since_breath_ = 0;
  uint32_t runs_ = 0;
  bool clocked_ = true;
  Nanos window_began_ = sync::now();
  uint64_t finished_ = 0;
};

struct Entry {
  PyObject ob_base;
  PoolCore* core;  // counted
  Atomic<Worker*> worker;  // reserved; whoever takes it out uses it or gives it back
};

Entry* as_entry(PyObject* object) { return reinterpret_cast<Entry*>(object); }

void give_back_reservation(Entry* entry) {
  if (entry->core->generation != fork_generation.load(sync::relaxed)) return;
  Worker* worker = entry->worker.exchange(nullptr, sync::acq_rel);
  if (worker != nullptr) entry->core->scheduler.cancel_reservation(*worker);
}

// False: the pool is broken now.
bool run_initializer(PoolCore* core) {
  if (core->initializer == nullptr) return true;
  Owned returned(PyObject_CallObject(core->initializer, core->initargs));
  if (returned) return true;
  Owned cause(PyErr_GetRaisedException());
  fail_initializer(core, cause.get());
  return false;
}

void run_thread_worker(PoolCore* core, Worker& worker) {
  Executant executant{core, &worker.cell(), &worker, PyContext_New()};
  if (executant.base_context == nullptr || PyContext_Enter(executant.base_context) < 0 || !run_initializer(core)) {
    core->scheduler.cancel_reservation(worker);
  } else {
    worker.cell().thread_id_.store(PyThread_get_thread_ident(), sync::relaxed);
    worker.cell().native_id_.store(PyThread_get_thread_native_id(), sync::relaxed);
    worker.cell().worker_.store(static_cast<int32_t>(worker.index()), sync::relaxed);
    be_worker(&executant);
    ThreadRunner runner(executant);
    runner.detach();
    core->scheduler.work(worker, runner);
    runner.attach();
    be_worker(nullptr);
  }
  if (executant.base_context != nullptr) {
    if (PyContext_Exit(executant.base_context) < 0) PyErr_Clear();
    Py_DECREF(executant.base_context);
  }
}

}  // namespace

void fail_initializer(PoolCore* core, PyObject* cause) {
  Owned shown(PyObject_Repr(cause));
  if (!shown) PyErr_Clear();
  PyObject* type = core->remote != nullptr ? core->remote->initializer_failed() : error_class(core->state, "InitializerFailed");
  Owned error(type == nullptr ? nullptr
                              : PyObject_CallFunction(type, "N",
                                                      PyUnicode_FromFormat("the initializer of the pool's workers raised %V; "
                                                                           "the pool takes no tasks: mend it and make a new pool",
                                                                           shown.get(), "an exception")));
  if (!error) error = Owned(PyErr_GetRaisedException());
  PyException_SetCause(error.get(), Py_NewRef(cause));
  Owned logging(PyImport_ImportModule("logging"));
  Owned logger(logging ? PyObject_CallMethod(logging.get(), "getLogger", "s", "concurrent.futures") : nullptr);
  Owned method(logger ? PyObject_GetAttrString(logger.get(), "critical") : nullptr);
  Owned args(Py_BuildValue("(s)", "Exception in initializer:"));
  Owned kwargs(Py_BuildValue("{sO}", "exc_info", cause));
  const bool first = core->broken_by.load(sync::acquire) == nullptr;
  Owned logged(method && args && kwargs && first ? PyObject_Call(method.get(), args.get(), kwargs.get()) : Py_NewRef(Py_None));
  if (!logged) PyErr_WriteUnraisable(core->initializer);
  break_pool(core, error.get());
}

namespace {

PyObject* entry_call(PyObject* object, PyObject*, PyObject*) {
  Entry* self = as_entry(object);
  Worker* worker = self->worker.exchange(nullptr, sync::acq_rel);
  if (worker == nullptr) Py_RETURN_NONE;  // whoever started this thread believes that it did not start
  PoolCore* core = self->core;  // the caller's reference to this object keeps it
  switch (core->flavor) {
    case trace::Flavor::interpreters:
      run_interpreter_worker(core, *worker);
      break;
#ifdef WEFT_PROCESSES
    case trace::Flavor::processes:
      run_process_worker_thread(core, *worker);
      break;
#endif
    default:
      run_thread_worker(core, *worker);
  }
  if (PyErr_Occurred()) return nullptr;
  Py_RETURN_NONE;
}

void entry_dealloc(PyObject* object) {
  Entry* self = as_entry(object);
  PyTypeObject* type = Py_TYPE(object);
  give_back_reservation(self);
  release(self->core);
  type->tp_free(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
}

PyType_Slot entry_slots[] = {
    {Py_tp_doc, const_cast<char*>("The life of one worker; called once, by its thread. Internal.")},
    {Py_tp_call, reinterpret_cast<void*>(entry_call)},
    {Py_tp_dealloc, reinterpret_cast<void*>(entry_dealloc)},
    {0, nullptr},
};

}  // namespace

PyType_Spec entry_spec = {
    "weft._core.WorkerEntry",
    sizeof(Entry),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    entry_slots,
};

void be_worker(Executant* executant) { this_worker = executant; }

Executant* current_worker() {
  Executant* worker = this_worker;
  // In a forked child the thread is no worker any more: its pool has no others, and locks that nobody will release. Nor is
  // it one while its task runs code in another interpreter.
  if (worker == nullptr || (worker->core->generation == fork_generation.load(sync::relaxed) &&
                            worker->core->state->interpreter == PyInterpreterState_Get())) {
    return worker;
  }
  return nullptr;
}

void unpark_deferred(Executant& x) {
  // The Future may be gone by now: the address is a mere key.
  if (x.sleeper != nullptr) sync::unpark_all(*std::exchange(x.sleeper, nullptr));
}

void unpark_waiters(const sync::ParkWord& word, bool soon) {
  Executant* x = this_worker;
  if (!kGil || !soon || x == nullptr || x->current != nullptr) {
    sync::unpark_all(word);
    return;
  }
  unpark_deferred(*x);
  x->sleeper = &word;
}

bool cannot_start() { return PyErr_ExceptionMatches(PyExc_RuntimeError) || PyErr_ExceptionMatches(PyExc_MemoryError); }

namespace {

// Between these two, what the task on this thread is asked to raise waits: in the middle of Thread.start() it would leave a
// thread that neither runs nor is forgotten.
struct Deferred {
  Executant* task;  // null: there is none
  RunCell::Suspended suspended;
  PyObject* posted;  // strong: what had been posted and not been raised, or null
};

Deferred defer_interrupts() {
  Executant* me = current_worker();
  if (me == nullptr || me->current == nullptr) return {};
  Deferred deferred{me, me->cell->suspend(), nullptr};
  deferred.posted = Py_XNewRef(PyThreadState_Get()->async_exc);  // nobody posts now: the task is suspended
  if (deferred.posted != nullptr) PyThreadState_SetAsyncExc(me->cell->thread_id_.load(sync::relaxed), nullptr);
  return deferred;
}

void allow_interrupts(const Deferred& deferred) {
  Executant* me = deferred.task;
  if (me == nullptr) return;
  RunCell& cell = *me->cell;
  cell.resume(deferred.suspended);
  if (deferred.suspended.deadline != sync::kForever) me->core->arm(deferred.suspended.deadline);
  // One that came meanwhile was left with the task, and not posted.
  Extras* extras = me->current->extras.load(sync::acquire);
  PyObject* asked = deferred.posted;
  if (asked == nullptr && extras != nullptr && !cell.interrupt_posted()) {
    asked = extras->interrupt.exchange(nullptr, sync::seq_cst);
    PyObject* none = nullptr;
    if (asked != nullptr && !extras->interrupt.compare_exchange_strong(none, Py_NewRef(asked), sync::seq_cst, sync::acquire)) {
      Py_DECREF(asked);  // SAFETY: the reference made for it; another one has come, and has been posted
    }
  }
  if (asked == nullptr) return;
  if (cell.lock(me->current->link)) {
    PyThreadState_SetAsyncExc(cell.thread_id_.load(sync::relaxed), asked);
    cell.unlock_posted();
  }
  Py_DECREF(asked);  // SAFETY: deferred.posted's, or the one taken out of the request
}

int raise_pending(void* error) {
  PyErr_SetRaisedException(static_cast<PyObject*>(error));
  return -1;
}

}  // namespace

void raise_soon() {
  PyObject* error = PyErr_GetRaisedException();
  // The main thread calls it, between two bytecodes.
  if (PyInterpreterState_Get() == PyInterpreterState_Main() && Py_AddPendingCall(raise_pending, error) == 0) return;
  PyErr_SetRaisedException(error);
  PyErr_WriteUnraisable(nullptr);
}

int start_worker(PoolCore* core) {
  Worker* worker = core->scheduler.reserve_worker();
  if (worker == nullptr) return 0;
  PyTypeObject* type = core->state->entry_type;
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) {
    core->scheduler.cancel_reservation(*worker);
    return -1;
  }
  Entry* entry = as_entry(object);
  retain(core);
  entry->core = core;
  entry->worker.store(worker, sync::relaxed);
  PyObject* name = PyUnicode_FromFormat("%U_%zu", core->name_prefix, worker->index());
  const Deferred deferred = defer_interrupts();
  PyObject* started = name == nullptr ? nullptr : PyObject_CallFunctionObjArgs(core->start_thread, object, name, nullptr);
  allow_interrupts(deferred);
  Py_XDECREF(name);
  if (started == nullptr) give_back_reservation(entry);
  PyObject* error = PyErr_GetRaisedException();
  Py_DECREF(object);
  PyErr_SetRaisedException(error);
  if (started == nullptr) return -1;
  Py_DECREF(started);
  return 0;
}

// For when the pool can do without: it has other workers, or the next submit tries again.
void start_worker_quietly(PoolCore* core) {
  if (start_worker(core) == 0) return;
  if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
    PyErr_Clear();
    PyErr_SetInterrupt();  // not ours to swallow: raise it again, once the caller is out of here
    return;
  }
  if (!cannot_start()) {
    // Once more, as often as handlers raise; and only then the exception, which any Python code may meet from there on.
    PyObject* error = PyErr_GetRaisedException();
    if (core->scheduler.queued() > 0) start_worker_quietly(core);
    PyErr_SetRaisedException(error);
    raise_soon();
  } else if (core->scheduler.live() > 0) {
    PyErr_Clear();  // "can't start new thread": those that run will do
  } else {
    PyErr_WriteUnraisable(nullptr);
  }
}

}  // namespace weft::core
