#include "tracing/trace.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "trace/recorder.hpp"

namespace weft::core {

namespace {

using trace::Event;
using trace::Lane;
using trace::Outcome;
using trace::Recorder;

// Numbers the traces of this process, those of all interpreters: 0 is none.
Atomic<uint32_t> last_session{0};

// ---- lanes: one for each thread and trace -------------------------------------------------------------------------

struct KeptLane {
  uint32_t session;
  std::shared_ptr<Lane> lane;
};

struct KeptLanes {
  std::vector<KeptLane> all;
  ~KeptLanes() {
    for (KeptLane& kept : all) kept.lane->close();
  }
};

// The last one used, apart: without a constructor or destructor it costs no look whether it is there.
struct CurrentLane {
  uint32_t session;
  Lane* lane;
};
constinit thread_local CurrentLane current_lane{0, nullptr};

Lane* find_lane(State* state, uint32_t session) {
  thread_local KeptLanes lanes;  // a thread may go to and fro between interpreters
  std::erase_if(lanes.all, [](const KeptLane& kept) { return kept.lane->retired(); });
  Lane* found = nullptr;
  for (const KeptLane& kept : lanes.all) {
    if (kept.session == session) found = kept.lane.get();
  }
  if (found == nullptr) {
    std::shared_ptr<Recorder> recorder;
    {
      sync::LockGuard guard(state->trace_mutex);
      if (state->trace_session.load(sync::relaxed) == session) recorder = state->recorder;
    }
    if (recorder == nullptr) return nullptr;
    try {
      lanes.all.push_back({session, recorder->add_lane(PyThread_get_thread_native_id())});
      found = lanes.all.back().lane.get();
    } catch (const std::bad_alloc&) {
      recorder->count_lost();
      return nullptr;
    }
  }
  current_lane = {session, found};
  return found;
}

// Null: that trace has ended.
Lane* lane_of(State* state, uint32_t session) {
  if (state->trace_session.load(sync::relaxed) != session) return nullptr;
  return current_lane.session == session ? current_lane.lane : find_lane(state, session);
}

// ---- names --------------------------------------------------------------------------------------------------------

constexpr int kUnwrapAtMost = 8;

bool is_partial(PyObject* callable) {
  return std::string_view(Py_TYPE(callable)->tp_name) == "functools.partial";
}

// The qualified name, or null with nothing raised.
PyObject* qualified_name(State* state, PyObject* callable) {
  if (PyFunction_Check(callable)) {
    // SAFETY: checked; a str, always.
    return Py_NewRef(reinterpret_cast<PyFunctionObject*>(callable)->func_qualname);
  }
  PyObject* name = nullptr;
  if (PyObject_GetOptionalAttr(callable, state->str_qualname, &name) < 0) PyErr_Clear();  // a property of the user's
  if (name != nullptr && !PyUnicode_Check(name)) Py_CLEAR(name);
  return name;
}

PyObject* function_name(State* state, PyObject* callable, int depth) {
  if (!PyFunction_Check(callable) && is_partial(callable) && depth < kUnwrapAtMost) {
    Owned inner(PyObject_GetAttrString(callable, "func"));
    Owned name(inner ? function_name(state, inner.get(), depth + 1) : nullptr);
    return name ? PyUnicode_FromFormat("partial(%U)", name.get()) : nullptr;
  }
  PyObject* name = qualified_name(state, callable);
  // An object with __call__: what it is an instance of. Not its repr, which runs code and may be long.
  return name != nullptr ? name : qualified_name(state, reinterpret_cast<PyObject*>(Py_TYPE(callable)));
}

// The same text, but such that it can be had as UTF-8: with lone surrogates escaped.
PyObject* encodable(PyObject* name) {
  if (PyUnicode_IS_COMPACT_ASCII(name) || PyUnicode_AsUTF8(name) != nullptr) return name;
  PyErr_Clear();
  Owned bytes(PyUnicode_AsEncodedString(name, "utf-8", "backslashreplace"));
  Py_DECREF(name);
  return bytes ? PyUnicode_FromEncodedObject(bytes.get(), "utf-8", "strict") : nullptr;
}

}  // namespace

bool names_first_argument(State* state, PyObject* callable) {
  if (!PyFunction_Check(callable)) return false;
  for (PyObject* runner : state->chunk_runners) {
    if (callable == runner) return true;
  }
  return false;
}

PyObject* first_argument(PoolCore* core, Future* future) {
  if (core->remote != nullptr) return packed_subject(future);
  const size_t count = future->arg_count;
  return count == 0 ? nullptr : future->call.args(count)[0];
}

PyObject* readable_name(State* state, TaskOptions* options, PyObject* callable, PyObject* first_argument) {
  PyObject* name = nullptr;
  if (options != nullptr && options->name != nullptr) {
    name = Py_NewRef(options->name);
  } else if (callable != nullptr) {
    const bool runs_another = first_argument != nullptr && names_first_argument(state, callable);
    name = function_name(state, runs_another ? first_argument : callable, 0);
  }
  if (name != nullptr) name = encodable(name);
  if (name != nullptr) return name;
  PyErr_Clear();
  return Py_NewRef(state->str_unnamed);
}

// ---- hooks --------------------------------------------------------------------------------------------------------

namespace {

// The pool's number in this trace, kept in the pool together with the trace it is for. False: there is none.
bool pool_in_trace(PoolCore* core, uint32_t session, uint32_t* index) {
  const uint64_t known = core->trace_pool.load(sync::relaxed);
  if (known >> 32 == session) {
    *index = static_cast<uint32_t>(known);
    return true;
  }
  std::shared_ptr<Recorder> recorder;
  {
    sync::LockGuard guard(core->state->trace_mutex);
    if (core->state->trace_session.load(sync::relaxed) == session) recorder = core->state->recorder;
  }
  if (recorder == nullptr) return false;
  Owned name(encodable(Py_NewRef(core->name_prefix)));
  const char* text = name ? PyUnicode_AsUTF8(name.get()) : nullptr;
  if (text == nullptr) PyErr_Clear();
  try {
    *index = recorder->pool_index(text == nullptr ? "(unnamed)" : text,
                                  core->flavor);
  } catch (const std::bad_alloc&) {
    recorder->count_lost();
    return false;
  }
  core->trace_pool.store(uint64_t{session} << 32 | *index, sync::relaxed);
  return true;
}

inline void record(Future* future, Event event, State* state) {
  const Traced& traced = *future->traced;
  Lane* lane = lane_of(state, traced.session);
  if (lane == nullptr) return;
  const char* name;
  Py_ssize_t length;
  if (PyUnicode_IS_COMPACT_ASCII(traced.name)) {
    name = reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(traced.name));  // SAFETY: bytes, which are characters
    length = PyUnicode_GET_LENGTH(traced.name);
  } else if ((name = PyUnicode_AsUTF8AndSize(traced.name, &length)) == nullptr) {  // encodable, see readable_name
    PyErr_Clear();
    name = "";
    length = 0;
  }
  event.submitted = traced.submitted;
  event.pool = traced.pool;
  if (event.ended == 0) event.ended = sync::now();
  lane->write(event, {name, static_cast<size_t>(length)});
}

}  // namespace

void begin_trace(Future* future, PoolCore* core, uint32_t session) {
  uint32_t pool;
  if (!pool_in_trace(core, session, &pool)) return;
  auto* traced = new (std::nothrow) Traced;
  if (traced == nullptr) {  // not the program's business: the task runs without being traced, and that is counted
    sync::LockGuard guard(core->state->trace_mutex);
    if (core->state->recorder != nullptr) core->state->recorder->count_lost();
    return;
  }
  traced->name = readable_name(core->state, future->options, future->call.callable, first_argument(core, future));
  traced->session = session;
  traced->pool = pool;
  traced->submitted = sync::now();
  traced->began.store(0, sync::relaxed);
  future->traced = traced;
}

void end_traced(Future* future) {
  Traced* traced = std::exchange(future->traced, nullptr);
  Py_DECREF(traced->name);  // SAFETY: the reference of begin_trace
  delete traced;
}

void trace_started(Executant& x, Future* future) {
  if (x.worker == nullptr) {
    Lane* lane = lane_of(x.core->state, future->traced->session);
    if (lane != nullptr) x.cell->native_id_.store(lane->thread, sync::relaxed);
  }
  future->traced->began.store(sync::now(), sync::relaxed);
}

void trace_ended(const Ran& ran, Future* future, Outcome outcome) {
  Traced& traced = *future->traced;
  const Nanos now = ran.ended != 0 ? ran.ended : sync::now();
  record(future,
         {.submitted = 0,
          .started = traced.began.load(sync::relaxed),
          .ended = now,
          .thread = ran.cell->native_id_.load(sync::relaxed),
          .pool = 0,
          .worker = ran.cell->worker_.load(sync::relaxed),
          .outcome = outcome},
         ran.core->state);
  traced.submitted = now;  // it waits again from now on, if it is to be tried again
}

Outcome outcome_of_failure(Future* future, PyObject* error, bool interrupted, State* state) {
  if ((future->word.load(sync::relaxed) & word::kTimedOut) != 0) return Outcome::timeout;
  if (interrupted) return Outcome::interrupted;
  PyObject* type = error_class(state, "Interrupted");  // raised where the task waited, without having been posted
  if (type == nullptr) PyErr_Clear();
  return type != nullptr && PyErr_GivenExceptionMatches(error, type) ? Outcome::interrupted : Outcome::failed;
}

void trace_abandoned(Future* future, RunCell& cell, State* state) {
  record(future,
         {.submitted = 0,
          .started = future->traced->began.load(sync::relaxed),
          .ended = 0,
          .thread = cell.native_id_.load(sync::relaxed),
          .pool = 0,
          .worker = cell.worker_.load(sync::relaxed),
          .outcome = Outcome::abandoned},
         state);
}

void trace_unrun(Future* future, Outcome outcome, State* state) {
  record(future,
         {.submitted = 0, .started = trace::kNever, .ended = 0, .thread = 0, .pool = 0, .worker = -1, .outcome = outcome},
         state);
}

// ---- for weft.debug -----------------------------------------------------------------------------------------------

namespace {

State* state_of(PyObject* module) { return static_cast<State*>(PyModule_GetState(module)); }

// What to add to the monotonic clock to get the time since 1970.
Nanos epoch() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(since_1970).count() - sync::now();
}

// trace_start(descriptor or -1, chrome, label, process id, most_chunks); the descriptor is ours if it succeeds
PyObject* trace_start(PyObject* module, PyObject* args) {
  State* state = state_of(module);
  int descriptor, chrome;
  const char* label;
  unsigned long long process;
  unsigned int most_chunks;
  if (!PyArg_ParseTuple(args, "ipsKI", &descriptor, &chrome, &label, &process, &most_chunks)) return nullptr;
  sync::LockGuard guard(state->trace_mutex);
  if (state->recorder != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "tracing is on already; call disable_tracing() first");
    return nullptr;
  }
  try {
    std::unique_ptr<trace::Sink> sink;
    if (descriptor < 0) {
      sink = std::make_unique<trace::Memory>(epoch());
    } else if (chrome) {
      sink = std::make_unique<trace::ChromeTrace>(descriptor, process, label);
    } else {
      sink = std::make_unique<trace::JsonLines>(descriptor, epoch());
    }
    Recorder::Limits limits;
    limits.chunks_per_lane = most_chunks;
    auto recorder = std::make_shared<Recorder>(std::move(sink), limits);
    recorder->start();
    state->recorder = std::move(recorder);
    uint32_t session = last_session.fetch_add(1, sync::relaxed) + 1;
    if (session == 0) session = last_session.fetch_add(1, sync::relaxed) + 1;
    state->trace_session.store(session, sync::release);
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  } catch (const std::system_error&) {
    PyErr_SetString(PyExc_RuntimeError, "weft: can't start the thread that writes the trace");
    return nullptr;
  }
  Py_RETURN_NONE;
}

// One object for each value: names and workers repeat a million times.
class Shared {
 public:
  ~Shared() {
    for (auto& [key, object] : objects_) Py_DECREF(object);
  }
  PyObject* of(const void* key, int32_t index, const std::string& text) {  // borrowed; null: exception set
    auto& object = objects_[{key, index}];
    if (object == nullptr) object = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
    return object;
  }

 private:
  std::map<std::pair<const void*, int32_t>, PyObject*> objects_;
};

PyObject* rows_of(const trace::Memory& memory) {
  Owned list(PyList_New(static_cast<Py_ssize_t>(memory.rows().size())));
  if (!list) return nullptr;
  Shared shared;
  Py_ssize_t at = 0;
  for (const trace::Memory::Row& row : memory.rows()) {
    const Event& event = row.event;
    PyObject* name = shared.of(row.name, 0, *row.name);
    PyObject* pool = shared.of(row.pool, INT32_MIN, row.pool->name);
    PyObject* worker = event.ran() ? shared.of(row.pool, event.worker, row.pool->worker(event.worker)) : Py_None;
    if (name == nullptr || pool == nullptr || worker == nullptr) return nullptr;
    const char* flavor = name_of(row.pool->flavor).data();  // they end with a zero
    const char* state = name_of(event.outcome).data();
    const double queued = static_cast<double>(event.queued()) / 1e9;
    PyObject* made =
        event.ran() ? Py_BuildValue("(OOsddsdOK)", name, worker, flavor,
                                    static_cast<double>(event.started + memory.epoch()) / 1e9,
                                    static_cast<double>(event.duration()) / 1e9, state, queued, pool,
                                    static_cast<unsigned long long>(event.thread))
                    : Py_BuildValue("(OOsOOsdOO)", name, worker, flavor, Py_None, Py_None, state, queued, pool, Py_None);
    if (made == nullptr) return nullptr;
    PyList_SET_ITEM(list.get(), at++, made);
  }
  return list.give();
}

PyObject* is_tracing(PyObject* module, PyObject*) {
  return PyBool_FromLong(state_of(module)->trace_session.load(sync::relaxed) != 0);
}

// trace_stop(want_rows, seconds) -> None, or (events written, events dropped, errno, rows or None)
PyObject* trace_stop(PyObject* module, PyObject* args) {
  State* state = state_of(module);
  int want_rows;
  double seconds;
  if (!PyArg_ParseTuple(args, "pd", &want_rows, &seconds)) return nullptr;
  const Nanos deadline = seconds < 1e9 ? sync::deadline_after(static_cast<Nanos>(seconds * 1e9)) : sync::kForever;
  std::shared_ptr<Recorder> recorder;
  {
    sync::LockGuard guard(state->trace_mutex);
    state->trace_session.store(0, sync::relaxed);
    recorder = std::move(state->recorder);
    state->recorder = nullptr;
  }
  if (recorder == nullptr) Py_RETURN_NONE;
  recorder->request_end();
  // The drainer may be stuck in a write, to a pipe that nobody reads: Ctrl-C, or the deadline, leaves it to that.
  for (bool ended = false; !ended;) {
    if (sync::now() >= deadline) {
      PyErr_SetString(PyExc_TimeoutError, "the file does not take what is written to it");
      return nullptr;
    }
    detached([&] { ended = recorder->wait_ended(sync::deadline_after(50 * sync::kMillisecond)); });
    if (!ended && PyErr_CheckSignals() < 0) return nullptr;
  }
  const auto* memory = dynamic_cast<const trace::Memory*>(&recorder->sink());
  PyObject* rows = memory == nullptr || !want_rows ? Py_NewRef(Py_None) : rows_of(*memory);
  if (rows == nullptr) return nullptr;
  return Py_BuildValue("(KKiN)", static_cast<unsigned long long>(recorder->written()),
                       static_cast<unsigned long long>(recorder->dropped()), recorder->sink().error(), rows);
}

// In a forked child: the drainer does not exist here, and the file is the parent's.
PyObject* trace_after_fork_in_child(PyObject* module, PyObject*) {
  State* state = state_of(module);
  state->trace_session.store(0, sync::relaxed);
  new (&state->trace_mutex) sync::Mutex;
  if (state->recorder != nullptr) {
    if (auto* file = dynamic_cast<trace::File*>(&state->recorder->sink()); file != nullptr) file->forget();
    // Leaked on purpose: its lock may be held by a thread that does not exist here.
    auto* leaked = new std::shared_ptr<Recorder>(std::move(state->recorder));
    (void)leaked;
    state->recorder = nullptr;
  }
  Py_RETURN_NONE;
}

// name_by_first_argument(runner): tasks of this function are called what their first argument is called.
PyObject* name_by_first_argument(PyObject* module, PyObject* runner) {
  State* state = state_of(module);
  for (PyObject*& known : state->chunk_runners) {
    if (known == nullptr) known = Py_NewRef(runner);
    if (known == runner) Py_RETURN_NONE;
  }
  PyErr_SetString(PyExc_RuntimeError, "State::chunk_runners has no room for another function");
  return nullptr;
}

}  // namespace

void end_trace(State* state) {
  state->trace_session.store(0, sync::relaxed);
  if (state->recorder != nullptr) state->recorder->request_end();
}

PyMethodDef trace_functions[] = {
    {"trace_start", trace_start, METH_VARARGS,
     "trace_start($module, descriptor, chrome, label, process, most_chunks, /)\n--\n\n"
     "Begin a trace into a file (which is closed at its end), or into memory (-1). Internal: see weft.debug."},
    {"is_tracing", is_tracing, METH_NOARGS, "is_tracing($module, /)\n--\n\nTrue while a trace is on."},
    {"trace_stop", trace_stop, METH_VARARGS,
     "trace_stop($module, want_rows, seconds, /)\n--\n\n"
     "End the trace: None if there was none, else (written, dropped, errno, rows or None). TimeoutError: it takes longer; the\n"
     "rest is written as long as the process lives. Internal: see weft.debug."},
    {"trace_after_fork_in_child", trace_after_fork_in_child, METH_NOARGS,
     "trace_after_fork_in_child($module, /)\n--\n\nForget the parent's trace. Internal: for os.register_at_fork."},
    {"name_by_first_argument", name_by_first_argument, METH_O,
     "name_by_first_argument($module, runner, /)\n--\n\n"
     "Name the tasks of this function after the function that is their first argument. Internal: for map()."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
