// What runs at this moment, on every worker of every pool of this interpreter: for weft.debug.dump().
//
// Asks the workers' cells. May be called while anything at all is going on, from a signal handler too.
//
// Stacks are walked while no thread runs: with the GIL because we hold it, without it because the world is stopped.
// sys._current_frames() stops it too, but walking what that returns crashes there when a thread goes on meanwhile.

#include <vector>

#include "tracing/trace.hpp"

namespace weft::core {

namespace {

struct Seen {
  PyObject* name;      // strong, or null: to be found out
  PyObject* options;   // strong, or null
  PyObject* callable;  // strong, or null
  PyObject* argument;  // strong, or null
  int32_t worker;
  unsigned long thread;
  uint64_t native_id;
  Nanos began;
  bool exact;
};

// False: nothing runs there.
bool look_into(PoolCore* core, RunCell& cell, Seen* seen) {
  Task* task = cell.lock_any();
  if (task == nullptr) return false;
  // Locked, the task cannot end, so its Future and its call are alive. No Python code in here, see PoolCore::expire.
  Future* future = future_of(*task);
  // Not one that is about to find out that somebody has cancelled it, and lets go of its call just now.
  if (future->cell.load(sync::acquire) != &cell || future->state() != TaskState::running) {
    cell.unlock();
    return false;
  }
  const Traced* trace = future->traced;
  const Nanos traced = trace == nullptr ? 0 : trace->began.load(sync::relaxed);
  *seen = {.name = trace == nullptr ? nullptr : Py_NewRef(trace->name),
           .options = Py_XNewRef(reinterpret_cast<PyObject*>(future->options)),
           .callable = Py_XNewRef(future->call.callable),
           .argument = Py_XNewRef(first_argument(core, future)),
           .worker = cell.worker_.load(sync::relaxed),
           .thread = cell.thread_id_.load(sync::relaxed),
           .native_id = cell.native_id_.load(sync::relaxed),
           .began = traced != 0 ? traced : cell.began_.load(sync::relaxed),
           .exact = traced != 0};
  cell.unlock();
  return true;
}

// (worker, thread, native id, name, seconds, exact)
PyObject* row_of(const Seen& seen, State* state, Nanos now) {
  // SAFETY: options are TaskOptions, or null.
  auto* options = reinterpret_cast<TaskOptions*>(seen.options);
  Owned name(seen.name != nullptr ? Py_NewRef(seen.name) : readable_name(state, options, seen.callable, seen.argument));
  return Py_BuildValue("(ikKOdO)", static_cast<int>(seen.worker), seen.thread,
                       static_cast<unsigned long long>(seen.native_id), name.get(),
                       static_cast<double>(now - seen.began) / 1e9, seen.exact ? Py_True : Py_False);
}

// [(name of the pool, flavor, workers alive, tasks that wait, rows)]
PyObject* running_tasks(PyObject* module, PyObject*) {
  auto* state = static_cast<State*>(PyModule_GetState(module));
  Owned list(PyList_New(0));
  const std::vector<PoolCore*> cores = live_cores(state);
  for (PoolCore* core : cores) {
    std::vector<Seen> all;
    Seen seen;
    const Nanos now = sync::now();
    core->scheduler.for_each_worker([&](Worker& worker) {
      if (look_into(core, worker.cell(), &seen)) all.push_back(seen);
    });
    for (RunCell* cell : core->caller_cells()) {
      if (look_into(core, *cell, &seen)) all.push_back(seen);
    }
    Owned rows(list ? PyList_New(0) : nullptr);
    for (const Seen& one : all) {
      Owned row(rows ? row_of(one, state, now) : nullptr);
      if (!row || PyList_Append(rows.get(), row.get()) < 0) rows = Owned();
      Py_XDECREF(one.name);
      Py_XDECREF(one.options);
      Py_XDECREF(one.callable);
      Py_XDECREF(one.argument);
    }
    Owned pool(rows ? Py_BuildValue("(OsInO)", core->name_prefix, trace::name_of(core->flavor).data(),
                                    core->scheduler.live(), static_cast<Py_ssize_t>(core->scheduler.queued()), rows.get())
                    : nullptr);
    if (!pool || PyList_Append(list.get(), pool.get()) < 0) list = Owned();
    release(core);
  }
  return list ? list.give() : nullptr;
}

// ---- stacks -------------------------------------------------------------------------------------------------------

constexpr size_t kMostFrames = 200;  // the innermost

struct Line {
  PyObject* code;  // strong
  int number;
};

struct Stack {
  unsigned long thread;
  std::vector<Line> lines;  // innermost first
};

struct Walk {
  PyInterpreterState* interpreter;
  std::vector<Stack>* stacks;
};

// No other thread runs, so none can change its frames, and no thread state goes.
void walk_stacks(const Walk& walk) {
  for (PyThreadState* thread = PyInterpreterState_ThreadHead(walk.interpreter); thread != nullptr;
       thread = PyThreadState_Next(thread)) {
    for (Stack& stack : *walk.stacks) {
      if (stack.thread != thread->thread_id || !stack.lines.empty()) continue;
      PyFrameObject* frame = PyThreadState_GetFrame(thread);
      while (frame != nullptr && stack.lines.size() < kMostFrames) {
        // SAFETY: a code object is an object.
        stack.lines.push_back({reinterpret_cast<PyObject*>(PyFrame_GetCode(frame)), PyFrame_GetLineNumber(frame)});
        PyFrameObject* back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
      }
      Py_XDECREF(frame);
    }
  }
  PyErr_Clear();  // no memory for a frame: the stack ends there
}

// The one function of the C API that calls us with the world stopped. It is for looking at each object; the first will do.
int with_stopped_world(PyObject*, void* walk) {
  walk_stacks(*static_cast<const Walk*>(walk));
  return 0;
}

// thread_stacks(threads) -> [[(code, line)]], innermost first; an empty one for a thread that is not there
PyObject* thread_stacks(PyObject*, PyObject* threads) {
  if (!PyList_CheckExact(threads)) {
    PyErr_SetString(PyExc_TypeError, "thread_stacks(threads: list[int])");
    return nullptr;
  }
  std::vector<Stack> stacks;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(threads); ++i) {
    stacks.push_back({PyLong_AsUnsignedLong(PyList_GET_ITEM(threads, i)), {}});
    if (PyErr_Occurred()) return nullptr;
  }
  Walk walk{PyInterpreterState_Get(), &stacks};
  if (kGil) {
    walk_stacks(walk);
  } else if (!stacks.empty()) {
    PyUnstable_GC_VisitObjects(with_stopped_world, &walk);
  }
  Owned list(PyList_New(0));
  for (const Stack& stack : stacks) {
    Owned lines(list ? PyList_New(0) : nullptr);
    for (const Line& line : stack.lines) {
      Owned pair(lines ? Py_BuildValue("(Oi)", line.code, line.number) : nullptr);
      if (!pair || PyList_Append(lines.get(), pair.get()) < 0) lines = Owned();
      Py_DECREF(line.code);
    }
    if (!lines || PyList_Append(list.get(), lines.get()) < 0) list = Owned();
  }
  return list ? list.give() : nullptr;
}

PyObject* worker_index(PyObject*, PyObject*) {
  const Executant* me = current_worker();
  return PyLong_FromLong(me == nullptr ? -1 : static_cast<long>(me->worker->index()));
}

}  // namespace

PyMethodDef running_functions[] = {
    {"running_tasks", running_tasks, METH_NOARGS,
     "running_tasks($module, /)\n--\n\n"
     "What runs now: [(pool, flavor, workers, queued, [(worker, thread, native id, task, seconds, exact)])]. Internal."},
    {"thread_stacks", thread_stacks, METH_O,
     "thread_stacks($module, threads, /)\n--\n\n"
     "The stacks of threads, by their idents: [[(code, line)]], innermost first. Internal."},
    {"worker_index", worker_index, METH_NOARGS,
     "worker_index($module, /)\n--\n\nThe number of the worker that this thread is, in its pool; -1: it is none."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
