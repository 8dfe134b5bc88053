// The module weft._core: its state, and how it comes and goes in each interpreter.
//
// Multi-phase initialisation, no Python object in a static: it can be imported in any interpreter, with its own GIL or
// without one, any number of times.

#include "python.hpp"

#include <new>

#include "buffers/kernels.hpp"
#include "buffers/region.hpp"
#include "future/compose.hpp"
#include "introspection.hpp"
#include "loops/awaiter.hpp"
#include "loops/inbox.hpp"
#include "loops/mailbox.hpp"
#include "pool/chunk.hpp"
#include "pool/drain.hpp"
#include "pool/fork.hpp"
#include "pool/pool.hpp"
#include "remote/actor_buffers.hpp"
#include "remote/actor_interpreter.hpp"
#include "remote/lent.hpp"
#include "remote/own_interpreter.hpp"
#include "tracing/trace.hpp"

#ifdef WEFT_PROCESSES
#include "remote/process_child.hpp"
#endif

namespace weft::core {

PyObject* error_class(State* state, const char* name) {
  PyObject* errors = state->errors;
  if (errors == nullptr) {
    errors = PyImport_ImportModule("weft.errors");
    if (errors == nullptr) return nullptr;
    state->errors = errors;  // two threads at once: the same module, one reference more
  }
  // Borrowed: the classes live as long as their module, which we keep.
  PyObject* found = PyObject_GetAttrString(errors, name);
  Py_XDECREF(found);
  return found;
}

namespace {

State* state_of(PyObject* module) { return static_cast<State*>(PyModule_GetState(module)); }

PyObject* after_fork_in_child(PyObject* module, PyObject*) {
  reset_state_after_fork(state_of(module));
  Py_RETURN_NONE;
}

PyTypeObject* make_type(PyObject* module, PyType_Spec* spec, PyObject* base) {
  auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, spec, base));
  if (type != nullptr && PyModule_AddType(module, type) < 0) Py_CLEAR(type);
  return type;
}

bool import_stdlib(State* state) {
  Owned base(PyImport_ImportModule("concurrent.futures._base"));
  Owned threading(base ? PyImport_ImportModule("threading") : nullptr);
  if (!threading) return false;
  const auto take = [](PyObject* from, const char* name) { return PyObject_GetAttrString(from, name); };
  Owned main(PyObject_CallMethod(threading.get(), "main_thread", nullptr));
  Owned ident(main ? take(main.get(), "ident") : nullptr);
  if (!ident) return false;
  state->main_thread = PyLong_AsUnsignedLong(ident.get());
  return !PyErr_Occurred() && (state->stdlib_future = take(base.get(), "Future")) != nullptr &&
         (state->cancelled_error = take(base.get(), "CancelledError")) != nullptr &&
         (state->condition_type = take(threading.get(), "Condition")) != nullptr &&
         (state->word_pending = take(base.get(), "PENDING")) != nullptr &&
         (state->word_running = take(base.get(), "RUNNING")) != nullptr &&
         (state->word_cancelled = take(base.get(), "CANCELLED_AND_NOTIFIED")) != nullptr &&
         (state->word_finished = take(base.get(), "FINISHED")) != nullptr;
}

// What awaiting says to event loops, see inbox.cpp and awaiter.cpp.
bool intern_loop_strings(State* state) {
  return (state->str_result = PyUnicode_InternFromString("result")) != nullptr &&
         (state->str_exception = PyUnicode_InternFromString("exception")) != nullptr &&
         (state->str_done = PyUnicode_InternFromString("done")) != nullptr &&
         (state->str_cancel = PyUnicode_InternFromString("cancel")) != nullptr &&
         (state->str_cancelled = PyUnicode_InternFromString("cancelled")) != nullptr &&
         (state->str_add_done_callback = PyUnicode_InternFromString("add_done_callback")) != nullptr &&
         (state->str_call_soon = PyUnicode_InternFromString("call_soon")) != nullptr &&
         (state->str_call_soon_threadsafe = PyUnicode_InternFromString("call_soon_threadsafe")) != nullptr &&
         (state->str_run_sync_soon = PyUnicode_InternFromString("run_sync_soon")) != nullptr &&
         (state->str_weft_inbox = PyUnicode_InternFromString("_weft_inbox")) != nullptr &&
         (state->str_asyncio_events = PyUnicode_InternFromString("asyncio.events")) != nullptr &&
         (state->str_trio = PyUnicode_InternFromString("trio")) != nullptr &&
         (state->kwnames_context = Py_BuildValue("(s)", "context")) != nullptr;
}

bool intern_strings(State* state) {
  return (state->str_acquire = PyUnicode_InternFromString("acquire")) != nullptr &&
         (state->str_release = PyUnicode_InternFromString("release")) != nullptr &&
         (state->str_notify_all = PyUnicode_InternFromString("notify_all")) != nullptr &&
         (state->str_add_result = PyUnicode_InternFromString("add_result")) != nullptr &&
         (state->str_add_exception = PyUnicode_InternFromString("add_exception")) != nullptr &&
         (state->str_add_cancelled = PyUnicode_InternFromString("add_cancelled")) != nullptr &&
         (state->str_qualname = PyUnicode_InternFromString("__qualname__")) != nullptr &&
         (state->str_unnamed = PyUnicode_InternFromString("(unnamed)")) != nullptr && intern_loop_strings(state);
}

bool make_no_op(State* state) {
  Owned globals(PyDict_New());
  return globals && (state->no_op = PyRun_String("lambda: None", Py_eval_input, globals.get(), globals.get())) != nullptr;
}

bool make_types(PyObject* module, State* state) {
  // Future's struct puts its fields right behind the object header: the base must have no fields of its own.
  auto* base = reinterpret_cast<PyTypeObject*>(state->stdlib_future);
  if (!PyType_Check(state->stdlib_future) || base->tp_basicsize != static_cast<Py_ssize_t>(sizeof(PyObject))) {
    PyErr_SetString(PyExc_ImportError,
                    "weft._core does not fit this Python: concurrent.futures.Future has fields in C; please report it");
    return false;
  }
  return (state->future_type = make_type(module, &future_spec, state->stdlib_future)) != nullptr &&
         (state->pool_type = make_type(module, &pool_spec, nullptr)) != nullptr &&
         (state->options_type = make_type(module, &options_spec, nullptr)) != nullptr &&
         (state->entry_type = make_type(module, &entry_spec, nullptr)) != nullptr &&
         (state->drain_type = make_type(module, &drain_spec, nullptr)) != nullptr &&
         (state->gather_type = make_type(module, &gather_spec, nullptr)) != nullptr &&
         (state->awaiter_type = make_type(module, &awaiter_spec, nullptr)) != nullptr &&
         (state->inbox_type = make_type(module, &inbox_spec, nullptr)) != nullptr &&
         (state->mailbox_type = make_type(module, &mailbox_spec, nullptr)) != nullptr &&
         (state->lent_type = make_lent_type()) != nullptr;
}

int module_exec(PyObject* module) {
  State* state = new (state_of(module)) State{};
  state->interpreter = PyInterpreterState_Get();
  watch_forks();
  if (!import_stdlib(state) || !intern_strings(state) || !make_no_op(state) || !make_types(module, state)) {
    return -1;
  }
  for (PyMethodDef* functions : {pool_functions, chunk_functions, compose_functions, trace_functions, running_functions,
                                 await_functions, region_functions, kernel_functions, linear_functions, spare_functions,
                                 actor_functions, buffer_functions, introspection_functions}) {
    if (PyModule_AddFunctions(module, functions) < 0) return -1;
  }
#ifdef WEFT_PROCESSES
  if (PyModule_AddFunctions(module, process_functions) < 0) return -1;
#endif
  return 0;
}

template <class Visit>
int for_each_reference(State* state, Visit&& visit) {
  for (PyTypeObject** type : {&state->future_type, &state->pool_type, &state->options_type, &state->entry_type,
                              &state->drain_type, &state->gather_type, &state->awaiter_type, &state->inbox_type,
                              &state->mailbox_type, &state->lent_type}) {
    if (int stop = visit(reinterpret_cast<PyObject**>(type))) return stop;
  }
  for (PyObject** object :
       {&state->stdlib_future, &state->cancelled_error, &state->condition_type, &state->word_pending, &state->word_running,
        &state->word_cancelled, &state->word_finished, &state->errors, &state->str_acquire, &state->str_release,
        &state->str_notify_all, &state->str_add_result, &state->str_add_exception, &state->str_add_cancelled,
        &state->str_qualname, &state->str_unnamed, &state->no_op, &state->str_result, &state->str_exception,
        &state->str_done, &state->str_cancel, &state->str_cancelled, &state->str_add_done_callback, &state->str_call_soon,
        &state->str_call_soon_threadsafe, &state->str_run_sync_soon, &state->str_weft_inbox, &state->str_asyncio_events,
        &state->str_trio, &state->kwnames_context, &state->chunk_runners[0], &state->chunk_runners[1], &state->chunk_runners[2],
        &state->chunk_runners[3], &state->chunk_runners[4]}) {
    if (int stop = visit(object)) return stop;
  }
  return 0;
}

int module_traverse(PyObject* module, visitproc visit, void* arg) {
  Py_VISIT(state_of(module)->get_running_loop.load(sync::relaxed));
  return for_each_reference(state_of(module), [&](PyObject** object) {
    Py_VISIT(*object);
    return 0;
  });
}

int module_clear(PyObject* module) {
  Py_XDECREF(state_of(module)->get_running_loop.exchange(nullptr, sync::acq_rel));
  return for_each_reference(state_of(module), [](PyObject** object) {
    Py_CLEAR(*object);
    return 0;
  });
}

void module_free(void* module) {
  auto* object = static_cast<PyObject*>(module);
  module_clear(object);
  end_trace(state_of(object));
  state_of(object)->~State();
}

PyMethodDef module_methods[] = {
    {"after_fork_in_child", after_fork_in_child, METH_NOARGS,
     "after_fork_in_child($module, /)\n--\n\nMake the module usable in a forked child. Internal: for os.register_at_fork."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(module_exec)},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
    {0, nullptr},
};

}  // namespace

PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT, "weft._core", "weft's native core: futures and pools.", sizeof(State), module_methods,
    module_slots,          module_traverse, module_clear, module_free,
};

}  // namespace weft::core

PyMODINIT_FUNC PyInit__core() { return PyModuleDef_Init(&weft::core::core_module); }
