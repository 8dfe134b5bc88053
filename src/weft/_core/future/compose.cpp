#include "future/compose.hpp"

#include <algorithm>

#include "pool/pool.hpp"
#include "tracing/trace.hpp"

namespace weft::core {

namespace {

// ---- the call of a dataflow -----------------------------------------------------------------------------------------

// Calls a function with the results of futures in place of the futures. The runner calls it like any function.
struct Gather {
  PyObject ob_base;
  vectorcallfunc vectorcall;
  PyObject* fn;  // strong
};

Gather* as_gather(PyObject* object) { return reinterpret_cast<Gather*>(object); }

bool is_future(PyObject* object, State* state) { return Py_IS_TYPE(object, state->future_type); }

// What the function sees of an argument, strong: the result, or results in place of the futures of a list or tuple, or
// the argument itself.
PyObject* value_of(PyObject* argument, State* state) {
  if (is_future(argument, state)) return Py_NewRef(as_future(argument)->outcome);
  const bool tuple = PyTuple_CheckExact(argument);
  if (!tuple && !PyList_CheckExact(argument)) return Py_NewRef(argument);
  PyObject* list = PySequence_List(argument);  // ours alone, so that nobody changes it meanwhile
  bool found = false;
  for (Py_ssize_t i = 0; list != nullptr && i < PyList_GET_SIZE(list); ++i) {
    PyObject* item = PyList_GET_ITEM(list, i);
    if (!is_future(item, state)) continue;
    found = true;
    PyList_SET_ITEM(list, i, Py_NewRef(as_future(item)->outcome));
    Py_DECREF(item);  // SAFETY: the list's reference, which its slot does not hold any more
  }
  if (list == nullptr || (found && !tuple)) return list;
  PyObject* value = found ? PyList_AsTuple(list) : Py_NewRef(argument);
  Py_DECREF(list);
  return value;
}

// No destructors in here: the function is a task (see Owned).
PyObject* gather_vectorcall(PyObject* object, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  constexpr size_t kFew = 8;
  State* state = state_of_type(Py_TYPE(object));
  const Py_ssize_t positional = PyVectorcall_NARGS(nargsf);
  const size_t count = static_cast<size_t>(positional + (kwnames == nullptr ? 0 : PyTuple_GET_SIZE(kwnames)));
  PyObject* few[kFew];
  PyObject** values = count <= kFew ? few : static_cast<PyObject**>(PyMem_Malloc(count * sizeof(PyObject*)));
  if (values == nullptr) return PyErr_NoMemory();
  size_t made = 0;
  while (made < count && (values[made] = value_of(args[made], state)) != nullptr) ++made;
  PyObject* result =
      made < count ? nullptr : PyObject_Vectorcall(as_gather(object)->fn, values, static_cast<size_t>(positional), kwnames);
  while (made > 0) Py_DECREF(values[--made]);
  if (values != few) PyMem_Free(values);
  return result;
}

PyObject* gather_qualname(PyObject* object, void*) {
  State* state = state_of_type(Py_TYPE(object));
  return PyObject_GetAttr(as_gather(object)->fn, state->str_qualname);
}

int gather_traverse(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(as_gather(object)->fn);
  return 0;
}

int gather_clear(PyObject* object) {
  Py_CLEAR(as_gather(object)->fn);
  return 0;
}

void gather_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  gather_clear(object);
  type->tp_free(object);
  Py_DECREF(type);  // SAFETY: instances of heap types own a reference to their type
}

PyGetSetDef gather_getset[] = {
    {"__qualname__", gather_qualname, nullptr, "The function's, by which the task is known.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef gather_members[] = {
    {"__vectorcalloffset__", Py_T_PYSSIZET, offsetof(Gather, vectorcall), Py_READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot gather_slots[] = {
    {Py_tp_doc, const_cast<char*>("A function that is called with results in place of futures. Internal.")},
    {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
    {Py_tp_getset, gather_getset},
    {Py_tp_members, gather_members},
    {Py_tp_traverse, reinterpret_cast<void*>(gather_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(gather_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(gather_dealloc)},
    {0, nullptr},
};

PyObject* new_gather(PyObject* fn, State* state) {
  PyTypeObject* type = state->gather_type;
  PyObject* object = type->tp_alloc(type, 0);
  if (object == nullptr) return nullptr;
  as_gather(object)->vectorcall = gather_vectorcall;
  as_gather(object)->fn = Py_NewRef(fn);
  return object;
}

// ---- settling by way of the inputs ------------------------------------------------------------------------------------

Join& join_of(Future* future) { return future->extras.load(sync::acquire)->join; }

// True: the call is ours now, and so is the duty to settle.
bool claim(Future* target) {
  leave_join(target->extras.load(sync::acquire));
  return transition_to_running(target);
}

void fail(Future* target, PyObject* error) {
  release_call(target);
  settle(target, TaskState::failed, error, Callbacks::in_turn);
}

// The input failed or was cancelled: so does the target, without its function.
void pass_on(Future* target, Future* input) {
  if (!claim(target)) return;
  // The call may hold the last reference to the input.
  const TaskState state = input->state();
  PyObject* outcome = state == TaskState::failed ? Py_NewRef(input->outcome) : nullptr;
  if (target->traced) {
    const auto unrun = outcome == nullptr ? trace::Outcome::cancelled : trace::Outcome::failed;
    trace_unrun(target, unrun, state_of_type(Py_TYPE(target->object())));
  }
  release_call(target);
  settle(target, state, outcome, Callbacks::in_turn);
}

void complete_all(Future* target) {
  if (!claim(target)) return;
  const size_t count = target->arg_count;
  PyObject** inputs = target->call.args(count);
  PyObject* results = PyTuple_New(static_cast<Py_ssize_t>(count));
  if (results == nullptr) return fail(target, PyErr_GetRaisedException());
  for (size_t i = 0; i < count; ++i) {
    PyTuple_SET_ITEM(results, static_cast<Py_ssize_t>(i), Py_NewRef(as_future(inputs[i])->outcome));
  }
  release_call(target);
  settle(target, TaskState::done, results, Callbacks::in_turn);
}

// `call.callable` is the list that the caller gets, its own objects in it.
void complete_any(Future* target, Future* input) {
  if (!claim(target)) return;
  const size_t count = target->arg_count;
  PyObject** inputs = target->call.args(count);
  const size_t index = static_cast<size_t>(std::find(inputs, inputs + count, input->object()) - inputs);
  PyObject* result = Py_BuildValue("(nO)", static_cast<Py_ssize_t>(index), target->call.callable);
  if (result == nullptr) return fail(target, PyErr_GetRaisedException());
  release_call(target);
  settle(target, TaskState::done, result, Callbacks::in_turn);
}

// Into the queue of its pool. Whoever takes the pool out of the join does this; its reference and hold are given back.
void launch(Future* target) {
  Join& join = join_of(target);
  PoolCore* core = join.pool.exchange(nullptr, sync::acq_rel);
  if (core == nullptr) return;  // cancelled meanwhile
  target->word.fetch_and(~word::kWaits, sync::acq_rel);
  Cascade* cascade = core->in_caller ? pause_cascade() : nullptr;
  const bool given = give_to_pool(core, target, join.holds);
  if (core->in_caller) resume_cascade(cascade);
  if (!given && transition_to_running(target)) fail(target, PyErr_GetRaisedException());
  if (PyErr_Occurred()) {  // Ctrl-C while it ran in the caller: not ours to swallow
    const bool interrupted = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
    PyErr_Clear();
    if (interrupted) PyErr_SetInterrupt();
  }
  if (join.holds) core->scheduler.release_hold();
  release(core);
}

}  // namespace

void leave_join(Extras* extras) {
  if (extras == nullptr) return;
  PoolCore* core = extras->join.pool.exchange(nullptr, sync::acq_rel);
  if (core == nullptr) return;
  if (extras->join.holds && core->generation == fork_generation.load(sync::relaxed)) core->scheduler.release_hold();
  release(core);
}

void input_settled(Future* target, Future* input) {
  if (target->settled()) return;  // cancelled, or an earlier input has decided it
  Join& join = join_of(target);
  if (join.kind == Join::any) return complete_any(target, input);
  if (input->state() != TaskState::done) return pass_on(target, input);
  if (join.left.fetch_sub(1, sync::acq_rel) != 1) return;
  if (join.kind == Join::all) return complete_all(target);
  launch(target);
}

// ---- making them ------------------------------------------------------------------------------------------------------

namespace {

// One that waits: with its call empty, in no queue. `core` (may be null) is retained.
Future* new_waiting(State* state, Join::Kind kind, PoolCore* core) {
  Future* target = new_future(state);
  if (target == nullptr) return nullptr;
  Py_DECREF(target->object());  // SAFETY: the queue's reference; there is no queue yet
  target->word.store(word::kWaits, sync::relaxed);
  Extras* extras = extras_of(target);
  if (extras == nullptr) {
    Py_DECREF(target->object());
    return nullptr;
  }
  extras->join.kind = kind;
  if (core != nullptr) {
    retain(core);
    extras->join.pool.store(core, sync::relaxed);
    target->pool = core;
    target->pool_tag = core->tag;
  }
  return target;
}

bool sure_to_settle(Future* input) {
  // Seen unsettled after the hold was taken: whoever settles it is a worker that will look at the holds, or a Future that
  // has a hold itself.
  if (input->settled()) return true;
  const Extras* extras = input->extras.load(sync::acquire);
  if (extras == nullptr || extras->join.kind == Join::none) return true;
  return extras->join.sure;
}

// Lets go of the caller's reference as well.
PyObject* give_up(Future* target) {
  leave_join(target->extras.load(sync::acquire));
  Py_DECREF(target->object());
  return nullptr;
}

// Where what continues a Future runs, retained: on its own pool as long as that takes tasks, or has still to run the
// Future; else on the default pool. Null: an exception is set.
PoolCore* pool_for_continuation(Future* source, State* state) {
  PoolCore* core = retain_if_live(state, source->pool, source->pool_tag);
  if (core != nullptr && (is_open(core) || !source->settled())) return core;
  if (core != nullptr) release(core);
  Owned home(PyImport_ImportModule("weft.futures._default"));
  Owned executor(home ? PyObject_CallMethod(home.get(), "default_executor", nullptr) : nullptr);
  core = executor ? core_of_handle(executor.get(), state) : nullptr;
  if (core != nullptr) retain(core);
  return core;
}

// In every so many calls of when_any the inputs are swept.
constexpr uint32_t kSweepEvery = 32;
thread_local uint32_t races = 0;

// Registers the target with the inputs, all of them Futures; afterwards it may settle at any moment.
PyObject* wait_for(Future* target, PyObject* const* inputs, size_t count) {
  Join& join = join_of(target);
  track(target);
  for (size_t i = 0; i < count; ++i) {
    Future* input = as_future(inputs[i]);
    if (!input->settled() && refuse_if_forked(input)) return give_up(target);
  }
  PoolCore* core = join.pool.load(sync::relaxed);
  if (core != nullptr) core->scheduler.hold();
  bool all_settled = true;
  join.sure = true;
  for (size_t i = 0; i < count; ++i) {
    all_settled = all_settled && as_future(inputs[i])->settled();
    join.sure = join.sure && sure_to_settle(as_future(inputs[i]));
  }
  // Held only for what will come by itself. What is ready now goes to the pool as any new task does.
  join.holds = core != nullptr && join.sure && !all_settled;
  if (core != nullptr && !join.holds) core->scheduler.release_hold();
  // A pool that is closing still takes what continues its own unfinished tasks.
  if (core != nullptr && !is_open(core) && !(join.holds && join.kind == Join::then && as_future(inputs[0])->pool == core)) {
    leave_join(target->extras.load(sync::acquire));
    Py_DECREF(target->object());
    return refuse_task(core);
  }
  if (core != nullptr) trace_submitted(target, core);
  join.left.store(static_cast<uint32_t>(count + 1), sync::release);
  const bool sweep = join.kind == Join::any && ++races % kSweepEvery == 0;
  for (size_t i = 0; i < count && !target->settled(); ++i) {
    Future* input = as_future(inputs[i]);
    if (sweep) sweep_continuations(input);
    if (!add_continuation(input, target)) {
      PyObject* error = PyErr_GetRaisedException();
      if (claim(target)) {
        fail(target, error);
      } else {
        Py_DECREF(error);
      }
    }
  }
  // The count of the making itself: an input that has just settled could not complete what was half made.
  if (join.kind != Join::any && join.left.fetch_sub(1, sync::acq_rel) == 1) {
    if (join.kind == Join::all) {
      complete_all(target);
    } else {
      launch(target);
    }
  }
  return target->object();
}

PyObject* not_futures(const char* function) {
  PyErr_Format(PyExc_TypeError, "%s() in weft._core takes weft futures only", function);
  return nullptr;
}

bool all_futures(PyObject* list, State* state) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    if (!is_future(PyList_GET_ITEM(list, i), state)) return false;
  }
  return true;
}

PyObject* join_futures(PyObject* module, Join::Kind kind, PyObject* inputs, PyObject* callable) {
  auto* state = static_cast<State*>(PyModule_GetState(module));
  // A copy: the caller's list may change while this runs.
  Owned args(PyList_New(1));
  Owned copy(PySequence_List(inputs));
  if (!args || !copy) return nullptr;
  if (!all_futures(copy.get(), state)) return not_futures("when_all or when_any");
  PyList_SET_ITEM(args.get(), 0, Py_NewRef(callable));
  Owned call(PySequence_Concat(args.get(), copy.get()));
  Future* target = call ? new_waiting(state, kind, nullptr) : nullptr;
  if (target == nullptr) return nullptr;
  const auto count = static_cast<size_t>(PyList_GET_SIZE(copy.get()));
  PyObject* const* items = PySequence_Fast_ITEMS(call.get());
  if (!fill_call(target, items, count + 1, nullptr)) return give_up(target);
  if (count > 0) {  // what continues it runs where its first input did
    target->pool = as_future(items[1])->pool;
    target->pool_tag = as_future(items[1])->pool_tag;
  }
  return wait_for(target, items + 1, count);
}

// when_all(inputs)
PyObject* when_all(PyObject* module, PyObject* inputs) { return join_futures(module, Join::all, inputs, Py_None); }

// when_any(inputs, objects): `objects` is the list that comes with the index.
PyObject* when_any(PyObject* module, PyObject* args) {
  PyObject *inputs, *objects;
  if (!PyArg_ParseTuple(args, "OO!", &inputs, &PyList_Type, &objects)) return nullptr;
  return join_futures(module, Join::any, inputs, objects);
}

// dataflow(executor, inputs, fn, /, *args, **kwargs): `inputs` are the futures among the arguments, each a Future.
PyObject* dataflow(PyObject* module, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  auto* state = static_cast<State*>(PyModule_GetState(module));
  if (nargs < 3) return not_futures("dataflow");
  PoolCore* core = core_of_handle(args[0], state);
  if (core == nullptr) return nullptr;
  Owned inputs(PySequence_List(args[1]));
  Owned gather(inputs ? new_gather(args[2], state) : nullptr);
  if (!gather) return nullptr;
  if (!all_futures(inputs.get(), state)) return not_futures("dataflow");
  const size_t keywords = kwnames == nullptr ? 0 : static_cast<size_t>(PyTuple_GET_SIZE(kwnames));
  Owned call(PyTuple_New(nargs - 2 + static_cast<Py_ssize_t>(keywords)));
  if (!call) return nullptr;
  PyTuple_SET_ITEM(call.get(), 0, gather.give());
  for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(call.get()); ++i) PyTuple_SET_ITEM(call.get(), i, Py_NewRef(args[i + 2]));
  Future* target = new_waiting(state, Join::flow, core);
  if (target == nullptr) return nullptr;
  if (!fill_call(target, PySequence_Fast_ITEMS(call.get()), static_cast<size_t>(nargs - 2), kwnames) ||
      !take_context(target, core->in_caller)) {
    return give_up(target);
  }
  return wait_for(target, PySequence_Fast_ITEMS(inputs.get()), static_cast<size_t>(PyList_GET_SIZE(inputs.get())));
}

// ready_future(value)
PyObject* ready_future(PyObject* module, PyObject* value) {
  Future* future = new_future(static_cast<State*>(PyModule_GetState(module)));
  if (future == nullptr) return nullptr;
  Py_DECREF(future->object());  // SAFETY: the queue's reference; there is no queue
  if (!transition_to_running(future)) Py_FatalError("weft: a new future is not pending");
  settle(future, TaskState::done, Py_NewRef(value));
  return future->object();
}

// The callback that a mirror leaves with the future that it mirrors.
PyObject* mirrored_settled(PyObject* mirror, PyObject* original) {
  Future* target = as_future(mirror);
  Owned cancelled(PyObject_CallMethod(original, "cancelled", nullptr));
  const int is_cancelled = cancelled ? PyObject_IsTrue(cancelled.get()) : -1;
  Owned error(is_cancelled == 0 ? PyObject_CallMethod(original, "exception", nullptr) : nullptr);
  Owned result(error && error.get() == Py_None ? PyObject_CallMethod(original, "result", nullptr) : nullptr);
  PyObject* trouble = PyErr_GetRaisedException();  // then that is how it ends
  if (!transition_to_running(target)) {
    Py_XDECREF(trouble);
    Py_RETURN_NONE;
  }
  if (trouble != nullptr) {
    settle(target, TaskState::failed, trouble);
  } else if (is_cancelled == 1) {
    settle(target, TaskState::cancelled, nullptr);
  } else if (result) {
    settle(target, TaskState::done, result.give());
  } else {
    settle(target, TaskState::failed, error.give());
  }
  Py_RETURN_NONE;
}

PyMethodDef mirrored_settled_def = {"mirrored_settled", mirrored_settled, METH_O, nullptr};

// mirror(future): a Future that settles as another library's does.
PyObject* mirror(PyObject* module, PyObject* original) {
  auto* state = static_cast<State*>(PyModule_GetState(module));
  Future* target = new_waiting(state, Join::mirror, nullptr);
  if (target == nullptr) return nullptr;
  track(target);
  Owned callback(PyCFunction_New(&mirrored_settled_def, target->object()));
  Owned added(callback ? PyObject_CallMethod(original, "add_done_callback", "O", callback.get()) : nullptr);
  return added ? target->object() : give_up(target);
}

// ---- deferred tasks -----------------------------------------------------------------------------------------------------

// deferred(executor, fn, /, *args, **kwargs): begins when somebody wants it.
PyObject* deferred(PyObject* module, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  auto* state = static_cast<State*>(PyModule_GetState(module));
  if (nargs < 2 || !PyCallable_Check(args[1])) {
    PyErr_Format(PyExc_TypeError, "async_(): fn must be callable, not %R", nargs < 2 ? Py_None : args[1]);
    return nullptr;
  }
  PoolCore* core = core_of_handle(args[0], state);
  Future* target = core == nullptr ? nullptr : new_waiting(state, Join::deferred, core);
  if (target == nullptr) return nullptr;
  target->word.fetch_or(word::kDeferred, sync::relaxed);
  if (!fill_call(target, args + 1, static_cast<size_t>(nargs - 1), kwnames) || !take_context(target, true)) {
    return give_up(target);
  }
  target->extras.load(sync::acquire)->join.sure = true;
  trace_submitted(target, core);
  track(target);
  return target->object();
}

// The pool that the task is to run on, with its reference, for the one who is first.
PoolCore* take_deferred(Future* future) {
  if ((future->word.load(sync::acquire) & word::kDeferred) == 0) return nullptr;
  if ((future->word.fetch_and(~word::kDeferred, sync::acq_rel) & word::kDeferred) == 0) return nullptr;
  return join_of(future).pool.exchange(nullptr, sync::acq_rel);
}

}  // namespace

bool run_deferred(Future* future) {
  PoolCore* core = take_deferred(future);
  if (core == nullptr) return true;
  future->word.fetch_and(~word::kWaits, sync::acq_rel);
  Py_INCREF(future->object());  // SAFETY: two references that run_in_caller takes over
  Py_INCREF(future->object());
  Owned ran(run_in_caller(core, future));
  if (!ran) {
    PyObject* error = PyErr_GetRaisedException();
    if (transition_to_running(future)) fail(future, Py_NewRef(error));  // refused
    PyErr_SetRaisedException(error);
  }
  release(core);
  return static_cast<bool>(ran);
}

bool start_deferred(Future* future) {
  PoolCore* core = take_deferred(future);
  if (core == nullptr) return true;
  future->word.fetch_and(~word::kWaits, sync::acq_rel);
  if (!give_to_pool(core, future, false) && transition_to_running(future)) fail(future, PyErr_GetRaisedException());
  release(core);
  return !PyErr_Occurred();
}

// ---- methods --------------------------------------------------------------------------------------------------------------

PyObject* future_then(PyObject* object, PyObject* fn) {
  Future* self = as_future(object);
  State* state = state_of_type(Py_TYPE(object));
  if (!PyCallable_Check(fn)) {
    PyErr_Format(PyExc_TypeError, "then(): fn must be callable, not %R; it is called with this future once that has a result",
                 fn);
    return nullptr;
  }
  PoolCore* core = pool_for_continuation(self, state);
  if (core == nullptr) return nullptr;
  Future* target = new_waiting(state, Join::then, core);
  PyObject* const call[] = {fn, object};
  PyObject* made = nullptr;
  if (target != nullptr) {
    const bool filled = fill_call(target, call, 2, nullptr) && take_context(target, core->in_caller);
    made = filled ? wait_for(target, &object, 1) : give_up(target);
  }
  release(core);
  return made;
}

PyObject* future_share(PyObject* object, PyObject*) { return Py_NewRef(object); }

PyMethodDef compose_functions[] = {
    {"when_all", when_all, METH_O, "when_all($module, inputs, /)\n--\n\nA Future of the tuple of results."},
    {"when_any", when_any, METH_VARARGS,
     "when_any($module, inputs, objects, /)\n--\n\nA Future of (index of the first that settled, objects)."},
    {"dataflow", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(dataflow)), METH_FASTCALL | METH_KEYWORDS,
     "dataflow($module, executor, inputs, fn, /, *args, **kwargs)\n--\n\nCall fn once the inputs among its arguments are done."},
    {"deferred", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(deferred)), METH_FASTCALL | METH_KEYWORDS,
     "deferred($module, executor, fn, /, *args, **kwargs)\n--\n\nA task that begins when somebody wants its result."},
    {"ready_future", ready_future, METH_O, "ready_future($module, value, /)\n--\n\nA Future that is done."},
    {"mirror", mirror, METH_O, "mirror($module, future, /)\n--\n\nA Future that settles as another library's does."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Spec gather_spec = {
    "weft._core.Gather",
    sizeof(Gather),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION |
        Py_TPFLAGS_IMMUTABLETYPE,
    gather_slots,
};

}  // namespace weft::core
