// An interpreter that an actor lives in: made by one thread, lived in by another, interrupted by a third.
//
// It is made with what an actor needs imported, and no thread has a thread state in it then. `run` takes the calling thread into it
// for one call, and ends it. `interrupt` sets an asynchronous exception in a thread of it, which stops one that spins.
//
// The caller's thread state is detached while it is elsewhere. `Home::lock` is held for a whole visit of `interrupt`, so that the
// interpreter cannot be ended under it; whoever ends it takes the lock detached, since the visitor needs the GIL of that
// interpreter. A visitor that never gets that GIL (C code holds it) keeps the lock, and nobody misses it: that interpreter never ends.
// Pinned by tests/actors/test_spawn.py.

#include "remote/actor_interpreter.hpp"

#include <string>

#include "remote/own_interpreter.hpp"
#include "sync/mutex.hpp"

namespace weft::core {

namespace {

constexpr const char* kName = "weft.actor_interpreter";

struct Home {
  sync::Mutex lock;
  PyInterpreterState* interpreter = nullptr;  // under the lock; null: it is ended, or about to be
  bool lived_in = false;                      // only with the GIL of the interpreter that made it
};

// SAFETY: a capsule of this name holds what make_actor_interpreter() put there.
Home* home_in(PyObject* capsule) { return static_cast<Home*>(PyCapsule_GetPointer(capsule, kName)); }

// Attached to the last thread state of it; leaves the thread without one.
void end_interpreter(Home* home, PyThreadState* last) {
  PyEval_SaveThread();
  home->lock.lock();
  home->interpreter = nullptr;
  home->lock.unlock();
  PyEval_RestoreThread(last);
  Py_EndInterpreter(last);
}

void drop(PyObject* capsule) {
  Home* home = home_in(capsule);
  if (home == nullptr) {
    PyErr_Clear();
    return;
  }
  // One that was never lived in is ended here; one whose thread is still in it owns its Home for ever.
  if (home->interpreter != nullptr && !home->lived_in) {
    PyThreadState* ours = PyEval_SaveThread();
    PyThreadState* last = PyThreadState_New(home->interpreter);
    PyEval_RestoreThread(last);
    end_interpreter(home, last);
    PyEval_RestoreThread(ours);
  }
  if (home->interpreter == nullptr) delete home;
}

PyObject* make_actor_interpreter(PyObject*, PyObject* args) {
  int own_gil;
  PyObject* modules;
  if (!PyArg_ParseTuple(args, "pO!:make_actor_interpreter", &own_gil, &PyTuple_Type, &modules)) return nullptr;
  std::string names;  // the strings are this interpreter's
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(modules); ++i) {
    const char* name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(modules, i));
    if (name == nullptr) return nullptr;
    names.append(name).push_back('\0');
  }
  PyThreadState* ours = PyThreadState_Get();
  PyThreadState* made = enter_new_interpreter(own_gil != 0);
  if (made == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "no interpreter could be made");
    return nullptr;
  }
  PyInterpreterState* interpreter = PyInterpreterState_Get();
  for (size_t at = 0; at < names.size(); at += std::char_traits<char>::length(&names[at]) + 1) {
    Owned module(PyImport_ImportModule(&names[at]));
    PyErr_Clear();  // the actor says what is wrong
  }
  PyThreadState_Clear(made);
  PyThreadState_Swap(ours);
  PyThreadState_Delete(made);
  Home* home = new Home;
  home->interpreter = interpreter;
  PyObject* capsule = PyCapsule_New(home, kName, drop);
  return capsule;
}

PyObject* run_actor_interpreter(PyObject*, PyObject* args) {
  PyObject* capsule;
  const char* module_text;
  const char* function_text;
  const char* data_text;
  Py_ssize_t size;
  if (!PyArg_ParseTuple(args, "Ossy#:run_actor_interpreter", &capsule, &module_text, &function_text, &data_text, &size)) {
    return nullptr;
  }
  Home* home = home_in(capsule);
  if (home == nullptr) return nullptr;
  if (home->lived_in) {
    PyErr_SetString(PyExc_RuntimeError, "this interpreter has been lived in");
    return nullptr;
  }
  home->lived_in = true;
  Py_INCREF(capsule);  // SAFETY: given back below; `args` may be anybody's
  const std::string module(module_text), function(function_text), data(data_text, static_cast<size_t>(size));
  PyThreadState* ours = PyEval_SaveThread();
  PyThreadState* theirs = PyThreadState_New(home->interpreter);
  PyEval_RestoreThread(theirs);
  PyObject* found = PyImport_ImportModule(module.c_str());
  PyObject* done = found == nullptr ? nullptr
                                    : PyObject_CallMethod(found, function.c_str(), "y#", data.data(),
                                                          static_cast<Py_ssize_t>(data.size()));
  if (done == nullptr) PyErr_WriteUnraisable(nullptr);
  Py_XDECREF(done);   // SAFETY: the call's result
  Py_XDECREF(found);  // SAFETY: the import's
  end_interpreter(home, theirs);
  PyEval_RestoreThread(ours);
  Py_DECREF(capsule);  // SAFETY: taken above
  Py_RETURN_NONE;
}

PyObject* interrupt_actor_interpreter(PyObject*, PyObject* args) {
  PyObject* capsule;
  unsigned long thread;
  if (!PyArg_ParseTuple(args, "Ok:interrupt_actor_interpreter", &capsule, &thread)) return nullptr;
  Home* home = home_in(capsule);
  if (home == nullptr) return nullptr;
  Py_INCREF(capsule);  // SAFETY: given back below
  bool found = false;
  PyThreadState* ours = PyEval_SaveThread();
  home->lock.lock();
  if (home->interpreter != nullptr) {
    PyThreadState* visitor = PyThreadState_New(home->interpreter);
    PyEval_RestoreThread(visitor);
    // Not imported: the thread that is to be interrupted may be importing, and hold the lock of that.
    PyObject* name = PyUnicode_FromString("weft.errors");
    PyObject* errors = name == nullptr ? nullptr : PyImport_GetModule(name);
    PyObject* type = errors == nullptr ? nullptr : PyObject_GetAttrString(errors, "Interrupted");
    PyErr_Clear();
    found = PyThreadState_SetAsyncExc(thread, type != nullptr ? type : PyExc_KeyboardInterrupt) > 0;
    Py_XDECREF(type);    // SAFETY: the three that were made above
    Py_XDECREF(errors);  // SAFETY: as above
    Py_XDECREF(name);    // SAFETY: as above
    PyThreadState_Clear(visitor);
    PyThreadState_DeleteCurrent();
  }
  home->lock.unlock();
  PyEval_RestoreThread(ours);
  Py_DECREF(capsule);  // SAFETY: taken above
  return PyBool_FromLong(found);
}

PyObject* raise_in_thread(PyObject*, PyObject* args) {
  unsigned long thread;
  PyObject* type;
  if (!PyArg_ParseTuple(args, "kO:raise_in_thread", &thread, &type)) return nullptr;
  return PyBool_FromLong(PyThreadState_SetAsyncExc(thread, type) > 0);
}

}  // namespace

PyMethodDef actor_functions[] = {
    {"make_actor_interpreter", make_actor_interpreter, METH_VARARGS,
     "make_actor_interpreter($module, own_gil, modules, /)\n--\n\n"
     "An interpreter that has imported these and that nobody lives in yet. Internal."},
    {"run_actor_interpreter", run_actor_interpreter, METH_VARARGS,
     "run_actor_interpreter($module, interpreter, module, function, data, /)\n--\n\n"
     "Call a function with some bytes in such an interpreter, on this thread, and end the interpreter. Internal."},
    {"interrupt_actor_interpreter", interrupt_actor_interpreter, METH_VARARGS,
     "interrupt_actor_interpreter($module, interpreter, thread, /)\n--\n\n"
     "Raise Interrupted in a thread of such an interpreter. False if there is none, or no such thread. Internal."},
    {"raise_in_thread", raise_in_thread, METH_VARARGS,
     "raise_in_thread($module, thread, exception, /)\n--\n\n"
     "Raise an exception in a thread of this interpreter, at its next bytecode. False if there is none. Internal."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
