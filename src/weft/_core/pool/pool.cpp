// The Python side of a pool: `_core.Pool`, the mixin that weft's executors put before the stdlib class of their name.
//
// An instance is a handle: a pool, and the options that it adds to each task. options() makes further handles.

#include "pool/pool.hpp"
#include "tracing/trace.hpp"

#include <algorithm>

namespace weft::core {

namespace {

struct Pool {
  PyObject ob_base;
  PoolCore* core;        // counted as a reference and as a handle; null before _open
  TaskOptions* options;  // strong, or null
};

// SAFETY: only for instances of the type below, which begin with this layout.
Pool* as_pool(PyObject* object) { return reinterpret_cast<Pool*>(object); }

PoolCore* core_of(PyObject* object) {
  PoolCore* core = as_pool(object)->core;
  if (core == nullptr) PyErr_SetString(PyExc_RuntimeError, "the executor's __init__ has not run");
  return core;
}

void bind(Pool* self, PoolCore* core) {
  retain(core);
  core->handles.fetch_add(1, sync::relaxed);
  self->core = core;
}

// Shuts the gate; what is queued still runs unless it is to be cancelled.
void close(PoolCore* core, bool cancel_queued) {
  Gate open = Gate::open;
  core->gate.compare_exchange_strong(open, Gate::shut, sync::seq_cst, sync::seq_cst);
  if (cancel_queued) core->cancel_queued.store(true, sync::seq_cst);
  sync::unpark_all(core->queue_length);  // who waits for room hears that there will be none
  core->scheduler.begin_drain();
  if (cancel_queued) settle_queued(core, nullptr);
}

}  // namespace

// ---- submit -------------------------------------------------------------------------------------------------------

PyObject* refuse_task(PoolCore* core) {
  if (core->generation != fork_generation.load(sync::relaxed)) {
    PyObject* type = error_class(core->state, "PoolForked");
    if (type != nullptr) {
      PyErr_SetString(type,
                      "this pool was made before os.fork(): its threads run in the parent process only; make a new pool "
                      "in the child");
    }
    return nullptr;
  }
  if (core->gate.load(sync::acquire) == Gate::broken) {
    PyErr_SetRaisedException(Py_NewRef(core->broken_by.load(sync::acquire)));
  } else if (core->state->closing) {
    PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after interpreter shutdown");
  } else {
    PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after shutdown");
  }
  return nullptr;
}

PoolCore* core_of_handle(PyObject* executor, State* state) {
  if (PyObject_TypeCheck(executor, state->pool_type)) return core_of(executor);
  PyErr_Format(PyExc_TypeError, "executor must be one of weft.executors, not %R", executor);
  return nullptr;
}

bool is_open(PoolCore* core) {
  return core->gate.load(sync::seq_cst) == Gate::open && core->generation == fork_generation.load(sync::relaxed);
}

namespace {

// What a submit does where max_pending tasks wait already.
enum class WhenFull { wait, return_none, pass };

// Waits a moment for room in the queue, which has this length. False: an exception is set.
bool wait_for_room(PoolCore* core, uint32_t length) {
  const bool main_thread = PyThread_get_thread_ident() == core->state->main_thread;
  const Nanos slice = (main_thread ? 50 : 200) * sync::kMillisecond;
  detached([&] { sync::park(core->queue_length, length, sync::deadline_after(slice)); });
  return !main_thread || PyErr_CheckSignals() == 0;
}

bool is_worker_of(const PoolCore* core, const Executant* me) { return me != nullptr && me->core == core; }

// Back-pressure: waits until fewer than max_pending tasks are queued, then counts one more. A worker of this pool does
// not wait (it would wait for itself). False: there is no room, or else an exception is set.
bool enter_queue(PoolCore* core, const Executant* me, WhenFull when_full) {
  const bool passes = when_full == WhenFull::pass || is_worker_of(core, me);
  uint32_t length = core->queue_length.load(sync::acquire);
  for (;;) {
    if (length < core->max_pending || passes) {
      if (core->queue_length.compare_exchange_weak(length, length + 1, sync::seq_cst, sync::acquire)) return true;
      continue;
    }
    if (when_full == WhenFull::return_none || !wait_for_room(core, length)) return false;
    if (!is_open(core)) return refuse_task(core) != nullptr;
    length = core->queue_length.load(sync::acquire);
  }
}

}  // namespace

bool take_context(Future* future, bool always) {
  const TaskOptions* options = future->options;
  if (options != nullptr && options->context != nullptr) {
    future->context = Py_NewRef(options->context);
    return true;
  }
  if (options != nullptr && !options->copy_context) return true;
  // An empty context need not be copied: the worker's own is empty too. (`context` is null until first used.)
  PyObject* current = PyThreadState_Get()->context;
  if (!always && (current == nullptr || Py_TYPE(current)->tp_as_mapping->mp_length(current) == 0)) return true;
  future->context = PyContext_CopyCurrent();
  return future->context != nullptr;
}

namespace {

// Waits on the caller's own time, answering signals. False: an exception is set.
bool sleep_until(Nanos when) {
  sync::ParkWord never{0};
  while (sync::now() < when) {
    detached([&] { sync::park(never, 0, std::min(when, sync::deadline_after(50 * sync::kMillisecond))); });
    if (PyErr_CheckSignals() < 0) return false;
  }
  return true;
}

}  // namespace

// The serial flavor: the task runs here and now, with everything that it would have elsewhere.
PyObject* run_in_caller(PoolCore* core, Future* future) {
  RunCell* cell = RunCell::obtain();
  cell->thread_id_.store(PyThread_get_thread_ident(), sync::relaxed);
  cell->worker_.store(-1, sync::relaxed);
  cell->native_id_.store(0, sync::relaxed);
  cell->began_.store(sync::now(), sync::relaxed);
  core->add_cell(cell);
  if (!is_open(core)) {  // after add_cell: whoever closes the pool then stops the timer, if no cell is there
    core->remove_cell(cell);
    RunCell::give_back(cell);
    Py_DECREF(future->object());  // SAFETY: both references, the caller's and the queue's
    Py_DECREF(future->object());
    return refuse_task(core);
  }
  Executant executant{core, cell, nullptr, nullptr};
  bool stopped = false;
  while (execute(executant, future) && future->state() == TaskState::pending) {  // it is to be tried again
    const Extras* extras = future->extras.load(sync::acquire);
    stopped = !sleep_until(sync::deadline_after(backoff_before(*future->options, extras->attempts)));
    if (stopped) break;
  }
  core->remove_cell(cell);
  RunCell::give_back(cell);
  core->finished.fetch_add(1, sync::relaxed);
  Py_DECREF(future->object());  // SAFETY: the queue's reference; there was no queue
  // Ctrl-C while the task runs on the main thread is meant for the program, not for the task alone.
  if (!stopped && future->state() == TaskState::failed &&
      PyErr_GivenExceptionMatches(future->outcome, PyExc_KeyboardInterrupt)) {
    PyErr_SetRaisedException(Py_NewRef(future->outcome));
    stopped = true;
  }
  if (!stopped) return future->object();
  Py_DECREF(future->object());
  return nullptr;
}

bool give_to_pool(PoolCore* core, Future* future, bool held) {
  const auto refused = [&] { return held ? core->gate.load(sync::seq_cst) == Gate::broken : !is_open(core); };
  if (refused()) {
    refuse_task(core);
    return false;
  }
  if (core->in_caller) {
    Py_INCREF(future->object());  // SAFETY: the two that run_in_caller takes over
    Py_INCREF(future->object());
    PyObject* ran = run_in_caller(core, future);
    Py_XDECREF(ran);
    return ran != nullptr;
  }
  if (core->scheduler.live() == 0 && start_worker(core) < 0) {
    if (core->scheduler.live() == 0) return false;
    if (cannot_start()) {
      PyErr_Clear();
    } else {
      raise_soon();
    }
  }
  Py_INCREF(future->object());  // SAFETY: the queue's
  Executant* me = current_worker();
  Worker* worker = me != nullptr && me->core == core && me->current != nullptr ? me->worker : nullptr;
  const int priority = future->options == nullptr ? 0 : future->options->priority;
  if (core->scheduler.submit(future->link, priority, worker)) start_worker_quietly(core);
  if (!refused() || !transition_to_running(future)) return true;
  refuse_task(core);  // it was closed meanwhile, and perhaps nobody is left to run the task
  release_call(future);
  settle(future, TaskState::failed, PyErr_GetRaisedException());
  return true;
}

namespace {

PyObject* submit(PyObject* object, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames, WhenFull when_full) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  if (nargs < 1) {
    PyErr_SetString(PyExc_TypeError, "submit() needs the function to run as its first argument: submit(fn, /, *args, **kwargs)");
    return nullptr;
  }
  if (!PyCallable_Check(args[0])) {
    PyErr_Format(PyExc_TypeError, "submit(): fn must be callable, not %R; pass the function and its arguments apart: submit(fn, x), not submit(fn(x))", args[0]);
    return nullptr;
  }
  if (!is_open(core)) return refuse_task(core);
  Future* future = new_future(core->state);
  if (future == nullptr) return nullptr;
  TaskOptions* options = as_pool(object)->options;
  if (options != nullptr) future->options = reinterpret_cast<TaskOptions*>(Py_NewRef(reinterpret_cast<PyObject*>(options)));
  future->pool = core;
  future->pool_tag = core->tag;
  Executant* me = current_worker();
  const bool filled = core->remote == nullptr
                          ? fill_call(future, args, static_cast<size_t>(nargs), kwnames) && take_context(future, core->in_caller)
                          : take_context(future, false) && core->remote->pack_call(future, args, static_cast<size_t>(nargs), kwnames);
  if (!filled ||
      (core->max_pending != 0 && !core->in_caller && !enter_queue(core, me, when_full))) {
    Py_DECREF(future->object());  // SAFETY: both references, the caller's and the queue's
    Py_DECREF(future->object());
    return nullptr;
  }
  trace_submitted(future, core);
  if (core->in_caller) return run_in_caller(core, future);
  if (core->max_pending != 0) {
    retain(core);
    future->counted = true;
    future->waits.store(true, sync::relaxed);
  }
  // The first worker before the task: a pool that cannot have one refuses the task instead of losing it.
  if (core->scheduler.live() == 0 && start_worker(core) < 0) {
    const bool hopeless = cannot_start();
    PyObject* error = PyErr_GetRaisedException();
    // Others may have counted on this very worker.
    if (core->scheduler.live() == 0 && hopeless) settle_queued(core, error);
    if (core->scheduler.queued() > 0 && !hopeless) start_worker_quietly(core);
    if (future->counted) leave_queue(future);
    Py_DECREF(future->object());
    Py_DECREF(future->object());
    PyErr_SetRaisedException(error);
    return nullptr;
  }
  // What a task submits goes to its worker's own queue. What a callback submits, between two tasks, goes behind what
  // waits already: it is often the next piece of something, and would otherwise overtake other things for ever.
  Worker* worker = me != nullptr && me->core == core && me->current != nullptr ? me->worker : nullptr;
  if (core->scheduler.submit(future->link, options == nullptr ? 0 : options->priority, worker)) start_worker_quietly(core);
  if (!is_open(core)) {  // it was closed meanwhile, and perhaps nobody is left to run the task
    const int cancelled = transition_to_settled(future, TaskState::pending, TaskState::cancelled, nullptr);
    if (cancelled == 1) {
      release_call(future);
      const Extras* extras = future->extras.load(sync::acquire);
      if (extras != nullptr && extras->attempts > 0) return future->object();  // it ran, and waited to be tried again
      // Whoever broke the pool has emptied the queue before this came into it; nobody else comes by.
      PyObject* error = core->broken_by.load(sync::seq_cst);
      if (error != nullptr) settle_queued(core, error);
      Py_DECREF(future->object());
      return refuse_task(core);
    }
    if (cancelled < 0) PyErr_Clear();
  }
  return future->object();
}

PyObject* pool_submit(PyObject* object, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  return submit(object, args, nargs, kwnames, WhenFull::wait);
}

// _submit_now(past_limit, fn, *args): submit() for who holds a lock. It never waits: where max_pending tasks wait already it
// gives None, or if `past_limit` is true queues the task all the same.
PyObject* pool_submit_now(PyObject* object, PyObject* const* args, Py_ssize_t nargs) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  if (nargs < 2) {
    PyErr_SetString(PyExc_TypeError, "_submit_now(past_limit, fn, /, *args)");
    return nullptr;
  }
  const int past_limit = PyObject_IsTrue(args[0]);
  if (past_limit < 0) return nullptr;
  if (core->max_pending != 0 && !core->in_caller) {
    // Seen here, it costs no packing of the call; enter_queue() decides.
    if (past_limit == 0 && is_open(core) && core->queue_length.load(sync::acquire) >= core->max_pending &&
        !is_worker_of(core, current_worker())) {
      Py_RETURN_NONE;
    }
    return submit(object, args + 1, nargs - 1, nullptr, past_limit != 0 ? WhenFull::pass : WhenFull::return_none);
  }
  // It does not wait anyhow; and a class may have a submit() of its own.
  Owned method(PyObject_GetAttrString(object, "submit"));
  return method ? PyObject_Vectorcall(method.get(), args + 1, static_cast<size_t>(nargs - 1), nullptr) : nullptr;
}

// _wait_for_room(): returns once a submit() would not wait. Others may be faster then.
PyObject* pool_wait_for_room(PyObject* object, PyObject*) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  if (core->max_pending == 0 || is_worker_of(core, current_worker())) Py_RETURN_NONE;
  uint32_t length = core->queue_length.load(sync::acquire);
  while (length >= core->max_pending && is_open(core)) {
    if (!wait_for_room(core, length)) return nullptr;
    length = core->queue_length.load(sync::acquire);
  }
  Py_RETURN_NONE;
}

// ---- life ---------------------------------------------------------------------------------------------------------

// _open(max_workers, cpus, name_prefix, start_thread, initializer, initargs, max_pending, in_caller)
PyObject* pool_open(PyObject* object, PyObject* args) {
  Pool* self = as_pool(object);
  unsigned int max_workers, cpus, max_pending;
  PyObject *prefix, *start_thread, *initializer, *initargs;
  int in_caller;
  if (!PyArg_ParseTuple(args, "IIUOOO!Ip", &max_workers, &cpus, &prefix, &start_thread, &initializer, &PyTuple_Type,
                        &initargs, &max_pending, &in_caller)) {
    return nullptr;
  }
  if (self->core != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "this executor is open already");
    return nullptr;
  }
  PyObject* module = PyType_GetModuleByDef(Py_TYPE(object), &core_module);
  if (module == nullptr) return nullptr;
  auto* state = static_cast<State*>(PyModule_GetState(module));
  auto* core = new PoolCore(state, module, max_workers, cpus);
  core->name_prefix = Py_NewRef(prefix);
  core->start_thread = Py_NewRef(start_thread);
  core->initializer = initializer == Py_None ? nullptr : Py_NewRef(initializer);
  core->initargs = Py_NewRef(initargs);
  core->max_pending = max_pending;
  core->in_caller = in_caller != 0;
  if (core->in_caller) core->flavor = trace::Flavor::serial;
  self->core = core;  // with the first reference and the first handle
  if (state->closing) core->gate.store(Gate::shut, sync::seq_cst);
  Py_RETURN_NONE;
}

// _share_nothing(payloads, functions, setup, processes, source, calls, memory, pipe): right after _open. The workers are processes
// or else interpreters, which `source` makes, and get payloads.
PyObject* pool_share_nothing(PyObject* object, PyObject* args) {
  PoolCore* core = core_of(object);
  PyObject *payloads, *functions, *source;
  const char* setup;
  Py_ssize_t size;
  unsigned long long calls, memory;
  int processes, pipe;
  if (core == nullptr || !PyArg_ParseTuple(args, "OOy#pOKKp", &payloads, &functions, &setup, &size, &processes, &source,
                                           &calls, &memory, &pipe)) {
    return nullptr;
  }
  auto remote = std::make_unique<Remote>(*core, payloads, functions, std::string(setup, static_cast<size_t>(size)),
                                         source, Remote::Limits{calls, memory, pipe != 0});
  if (!remote->prepare()) return nullptr;
  core->remote = std::move(remote);
  core->flavor = processes != 0 ? trace::Flavor::processes : trace::Flavor::interpreters;
  Py_RETURN_NONE;
}

// _route(router): have tasks called through it, router(function, ...), from now on or once more; None: no longer.
PyObject* pool_route(PyObject* object, PyObject* router) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  if (router == Py_None) {
    core->routing.store(false, sync::relaxed);
    Py_RETURN_NONE;
  }
  if (core->remote != nullptr || (core->router != nullptr && core->router != router)) {
    PyErr_SetString(PyExc_RuntimeError, "_route() is for threads, and for one router");
    return nullptr;
  }
  if (core->router == nullptr) core->router = Py_NewRef(router);  // SAFETY: dropped by ~PoolCore
  core->routing.store(true, sync::release);
  Py_RETURN_NONE;
}

// _adopt(other, options): become another handle of other's pool, with these options for its tasks.
PyObject* pool_adopt(PyObject* object, PyObject* args) {
  Pool* self = as_pool(object);
  PyObject *other, *options;
  if (!PyArg_ParseTuple(args, "OO", &other, &options)) return nullptr;
  PyObject* module = PyType_GetModuleByDef(Py_TYPE(object), &core_module);
  if (module == nullptr) return nullptr;
  auto* state = static_cast<State*>(PyModule_GetState(module));
  if (!PyObject_TypeCheck(other, state->pool_type) || as_pool(other)->core == nullptr || self->core != nullptr ||
      !Py_IS_TYPE(options, state->options_type)) {
    PyErr_SetString(PyExc_TypeError, "_adopt() takes an open pool and TaskOptions, on a handle that is new");
    return nullptr;
  }
  bind(self, as_pool(other)->core);
  self->options = reinterpret_cast<TaskOptions*>(Py_NewRef(options));
  Py_RETURN_NONE;
}

// Whether this handle is all that keeps the core, which is visited and cleared with it then. Else its threads hold it too, or
// the tasks that wait, or other handles. Stable while garbage is looked for: who takes a reference is attached.
bool is_sole_owner(const PoolCore* core) {
  return core != nullptr && core->generation == fork_generation.load(sync::relaxed) &&
         core->references.load(sync::acquire) == 1;
}

int pool_traverse(PyObject* object, visitproc visit, void* arg) {
  Pool* self = as_pool(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(reinterpret_cast<PyObject*>(self->options));
  if (PoolCore* core = self->core; is_sole_owner(core)) {
    Py_VISIT(core->start_thread);
    Py_VISIT(core->initializer);
    Py_VISIT(core->initargs);
    Py_VISIT(core->router);
    Py_VISIT(core->broken_by.load(sync::acquire));
  }
  return 0;
}

int pool_clear(PyObject* object) {
  Pool* self = as_pool(object);
  Py_CLEAR(self->options);
  if (PoolCore* core = self->core; is_sole_owner(core)) {
    close(core, false);  // no worker may begin without its initializer
    core->routing.store(false, sync::relaxed);
    // SAFETY: the core's references, which nobody uses any more: it has no worker, and takes no task.
    Py_CLEAR(core->initializer);
    Py_CLEAR(core->initargs);
    Py_CLEAR(core->router);
  }
  return 0;
}

void pool_dealloc(PyObject* object) {
  Pool* self = as_pool(object);
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  pool_clear(object);
  if (PoolCore* core = std::exchange(self->core, nullptr); core != nullptr) {
    const bool ours = core->generation == fork_generation.load(sync::relaxed);
    if (core->handles.fetch_sub(1, sync::acq_rel) == 1 && ours) close(core, false);
    release(core);
  }
  type->tp_free(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
}

PyObject* pool_close(PyObject* object, PyObject* cancel_queued) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  const int cancel = PyObject_IsTrue(cancel_queued);
  if (cancel < 0) return nullptr;
  if (core->generation == fork_generation.load(sync::relaxed)) close(core, cancel != 0);
  Py_RETURN_NONE;
}

// _wait_left(seconds): True once no worker is left.
PyObject* pool_wait_left(PyObject* object, PyObject* timeout) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  Nanos deadline = sync::kForever;
  if (timeout != Py_None) {
    const double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) return nullptr;
    deadline = seconds < 1e9 ? sync::deadline_after(static_cast<Nanos>(std::max(seconds, 0.0) * 1e9)) : sync::kForever;
  }
  if (core->generation != fork_generation.load(sync::relaxed)) Py_RETURN_TRUE;
  const Executant* me = current_worker();
  if (me != nullptr && me->core == core) {
    PyErr_SetString(PyExc_RuntimeError,
                    "a task cannot wait for the end of the pool that runs it; call shutdown(wait=False) there, or shut the "
                    "pool down from outside");
    return nullptr;
  }
  while (!core->scheduler.all_left()) {
    const Nanos time = sync::now();
    if (time >= deadline) Py_RETURN_FALSE;
    detached([&] { core->scheduler.wait_all_left(std::min(deadline, time + 50 * sync::kMillisecond)); });
    if (PyErr_CheckSignals() < 0) return nullptr;
  }
  if (!is_open(core) && core->in_use_by_callers() == 0) detached([&] { core->stop_threads(); });  // invariant 3
  Py_RETURN_TRUE;
}

// _running(): [(future, name, thread id)] of the tasks that run now.
PyObject* pool_running(PyObject* object, PyObject*) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  Owned list(PyList_New(0));
  if (!list || core->generation != fork_generation.load(sync::relaxed)) return list.give();  // nothing runs in a fork
  struct Seen {
    Future* future;
    PyObject* callable;
    unsigned long thread;
  };
  std::vector<Seen> seen;
  core->scheduler.for_each_worker([&](Worker& worker) {
    Task* task = worker.cell().lock_any();
    if (task == nullptr) return;
    // Locked, a task that runs cannot end, so its Future and its call are alive. One that is about to run may be cancelled
    // under us. No Python code in here, see PoolCore::expire.
    Future* future = future_of(*task);
    if (future->cell.load(sync::acquire) != &worker.cell() || future->state() != TaskState::running) {
      worker.cell().unlock();
      return;
    }
    Py_INCREF(future->object());
    seen.push_back({future, Py_XNewRef(future->call.callable), worker.cell().thread_id_.load(sync::relaxed)});
    worker.cell().unlock();
  });
  for (const Seen& one : seen) {
    Owned future(one.future->object());
    Owned callable(one.callable);
    Owned name(task_name(one.future->options, one.callable, core->state));
    Owned row(list ? Py_BuildValue("(OOk)", future.get(), name.get(), one.thread) : nullptr);
    if (!row || PyList_Append(list.get(), row.get()) < 0) list = Owned();
  }
  return list ? list.give() : nullptr;
}

// _finish(): the interpreter ends; the timer must not attach any more.
PyObject* pool_finish(PyObject* object, PyObject*) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  core->scheduler.begin_stop();
  detached([&] { core->stop_threads(); });
  Py_RETURN_NONE;
}

PyObject* pool_worker_threads(PyObject* object, PyObject*) {
  PoolCore* core = core_of(object);
  return core == nullptr ? nullptr : Py_NewRef(core->start_thread);
}

PyObject* pool_stats(PyObject* object, PyObject*) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  const auto idle = core->scheduler.idle();
  return Py_BuildValue("{sIsnsIsIsIsKsI}", "workers", core->scheduler.live(), "queued",
                       static_cast<Py_ssize_t>(core->scheduler.queued()), "searching", idle.searching, "sleeping",
                       idle.sleeping, "blocked", core->scheduler.blocked(), "finished",
                       static_cast<unsigned long long>(core->finished.load(sync::relaxed)), "abandoned",
                       core->abandoned.load(sync::relaxed));
}

PyObject* pool_queued(PyObject* object, PyObject*) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  return PyLong_FromSize_t(core->generation == fork_generation.load(sync::relaxed) ? core->scheduler.queued() : 0);
}

PyObject* pool_is_open(PyObject* object, PyObject*) {
  PoolCore* core = core_of(object);
  return core == nullptr ? nullptr : PyBool_FromLong(is_open(core));
}

PyObject* pool_same_pool(PyObject* object, PyObject* other) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  return PyBool_FromLong(PyObject_TypeCheck(other, core->state->pool_type) && as_pool(other)->core == core);
}

PyObject* pool_broken_by(PyObject* object, PyObject*) {
  PoolCore* core = core_of(object);
  if (core == nullptr) return nullptr;
  PyObject* error = core->broken_by.load(sync::acquire);
  return Py_NewRef(error == nullptr ? Py_None : error);
}

PyObject* pool_options(PyObject* object, PyObject*) {
  TaskOptions* options = as_pool(object)->options;
  return Py_NewRef(options == nullptr ? Py_None : reinterpret_cast<PyObject*>(options));
}

// live_pools(): a handle for each pool whose workers may still run.
PyObject* live_pools(PyObject* module, PyObject*) {
  auto* state = static_cast<State*>(PyModule_GetState(module));
  Owned list(PyList_New(0));
  for (PoolCore* core : live_cores(state)) {
    PyObject* handle = list ? state->pool_type->tp_alloc(state->pool_type, 0) : nullptr;
    if (handle != nullptr) {
      bind(as_pool(handle), core);
      if (PyList_Append(list.get(), handle) < 0) list = Owned();
      Py_DECREF(handle);
    } else {
      list = Owned();
    }
    release(core);
  }
  return list ? list.give() : nullptr;
}

// close_interpreter(): from now on no pool of this interpreter takes tasks, and none is opened.
PyObject* close_interpreter(PyObject* module, PyObject*) {
  static_cast<State*>(PyModule_GetState(module))->closing = true;
  Py_RETURN_NONE;
}

PyMethodDef pool_methods[] = {
    {"submit", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(pool_submit)), METH_FASTCALL | METH_KEYWORDS,
     "submit($self, fn, /, *args, **kwargs)\n--\n\n"
     "Give the pool the task fn(*args, **kwargs); returns its Future at once.\n\n"
     "Raises:\n    RuntimeError: the pool is shut down.\n    TypeError: fn is not callable.\n"
     "    weft.errors.InitializerFailed: the workers' initializer raised.\n"
     "    weft.errors.PoolForked: the pool belongs to the parent process."},
    // SAFETY: METH_FASTCALL says that it is called as the type that it has.
    {"_submit_now", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(pool_submit_now)), METH_FASTCALL,
     "submit() that does not wait for room: None if there is none, unless the first argument is true."},
    {"_wait_for_room", pool_wait_for_room, METH_NOARGS, "Wait until a submit() would not wait. Others may be faster then."},
    {"_open", pool_open, METH_VARARGS, "Make the pool behind this handle."},
    {"_share_nothing", pool_share_nothing, METH_VARARGS, "Have interpreters or processes as workers. Right after _open."},
    {"_route", pool_route, METH_O, "Have tasks called through a function; None: no longer."},
    {"_adopt", pool_adopt, METH_VARARGS, "Become another handle of a pool, with task options."},
    {"_close", pool_close, METH_O, "Take no more tasks; cancel what is queued if told to. Does not wait."},
    {"_wait_left", pool_wait_left, METH_O, "Wait until no worker is left; False if that takes longer than the seconds given."},
    {"_running", pool_running, METH_NOARGS, "[(future, name, thread id)] of the tasks that run now."},
    {"_worker_threads", pool_worker_threads, METH_NOARGS, "What starts the pool's threads, and knows them."},
    {"_finish", pool_finish, METH_NOARGS, "Let go of everything that would attach to the interpreter."},
    {"_stats", pool_stats, METH_NOARGS, "Counts, as a dict."},
    {"_queued", pool_queued, METH_NOARGS, "How many tasks wait."},
    {"_is_open", pool_is_open, METH_NOARGS, "True while the pool takes tasks."},
    {"_same_pool", pool_same_pool, METH_O, "True if the other is a handle of this pool too."},
    {"_broken_by", pool_broken_by, METH_NOARGS, "The exception that broke the pool, or None."},
    {"_task_options", pool_options, METH_NOARGS, "The TaskOptions of this handle, or None."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot pool_slots[] = {
    {Py_tp_doc, const_cast<char*>("What weft's executors share: put before the stdlib class of the same name. Internal.")},
    {Py_tp_traverse, reinterpret_cast<void*>(pool_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(pool_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(pool_dealloc)},
    {Py_tp_methods, pool_methods},
    {0, nullptr},
};

}  // namespace

PoolCore* open_pool_of(PyObject* executor, State* state) {
  if (!PyObject_TypeCheck(executor, state->pool_type)) {
    PyErr_Format(PyExc_TypeError,
                 "executor must be a weft.executors.ThreadPoolExecutor, or None to work in the calling thread, not %R; other "
                 "executors cannot run native loops",
                 executor);
    return nullptr;
  }
  PoolCore* core = core_of(executor);
  if (core == nullptr || is_open(core)) return core;
  (void)refuse_task(core);
  return nullptr;
}

PyMethodDef pool_functions[] = {
    {"live_pools", live_pools, METH_NOARGS, "live_pools($module, /)\n--\n\nA handle for each pool whose workers may still run."},
    {"wait_in_place", wait_in_place, METH_O,
     "wait_in_place($module, future, /)\n--\n\n"
     "Wait for a future of another pool, without that this worker's pool gets one worker more for it. Internal: for routers."},
    // SAFETY: METH_FASTCALL says that it is called as the type that it has.
    {"blocking", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(blocking)), METH_FASTCALL,
     "blocking($module, fn, /, *args)\n--\n\n"
     "fn(*args), which waits for other tasks by other means than their futures: meanwhile this worker's pool may have one\n"
     "worker more, as it may while one waits for a future."},
    {"close_interpreter", close_interpreter, METH_NOARGS,
     "close_interpreter($module, /)\n--\n\nThe interpreter ends: no pool takes tasks from now on."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Spec pool_spec = {
    "weft._core.Pool",
    sizeof(Pool),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    pool_slots,
};

}  // namespace weft::core
