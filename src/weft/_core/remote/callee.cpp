// SAFETY, for every count in this file: frames here call into tasks and initializers, so they hold plain pointers (python.hpp);
// a function ends the references that it made itself or that its comment says it takes over, and members those of `clear()`.

#include "remote/callee.hpp"

#include "pool/chunk.hpp"
#include "remote/payload.hpp"

namespace weft::core {

namespace {

constexpr size_t kMostFunctions = 4096;  // one that is forgotten is made again

bool is_empty(PyObject* context) { return Py_TYPE(context)->tp_as_mapping->mp_length(context) == 0; }

PyObject* bytes_of(std::string_view text) {
  return PyBytes_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}

}  // namespace

void Answer::clear() {
  for (Py_buffer& view : buffers) PyBuffer_Release(&view);
  buffers.clear();
  Py_CLEAR(bytes);
  raised = false;
}

bool Callee::prepare(std::string_view greeting, PyMethodDef* say, PyObject* self) {
  PyObject* working = PyImport_ImportModule("weft._payloads.working");
  PyObject* run_chunk = working == nullptr ? nullptr : PyCFunction_New(chunk_functions, nullptr);
  const bool found = run_chunk != nullptr && PyObject_SetAttrString(working, "call_chunk", run_chunk) == 0 &&
                     (load_function_ = PyObject_GetAttrString(working, "load_function")) != nullptr &&
                     (unpack_call_ = PyObject_GetAttrString(working, "unpack_call")) != nullptr &&
                     (pack_result_ = PyObject_GetAttrString(working, "pack_result")) != nullptr &&
                     (pack_failure_ = PyObject_GetAttrString(working, "pack_failure")) != nullptr &&
                     (lent_type_ = make_lent_type()) != nullptr && (base_context_ = PyContext_New()) != nullptr &&
                     PyContext_Enter(base_context_) == 0;
  Py_XDECREF(run_chunk);
  Py_XDECREF(working);
  return found && start(greeting, say, self);
}

bool Callee::start(std::string_view greeting, PyMethodDef* say, PyObject* self) {
  PyObject* asides = PyImport_ImportModule("weft._payloads.asides");
  const bool found = asides != nullptr && (unfinished_ = PyObject_GetAttrString(asides, "unfinished")) != nullptr &&
                     PyList_CheckExact(unfinished_) && (end_lines_ = PyObject_GetAttrString(asides, "flush")) != nullptr;
  Py_XDECREF(asides);
  if (!found) return false;
  PyObject* starting = PyImport_ImportModule("weft._payloads.starting");
  PyObject* bytes = bytes_of(greeting);
  PyObject* function = PyCFunction_New(say, self);
  PyObject* done = starting == nullptr || bytes == nullptr || function == nullptr
                       ? nullptr
                       : PyObject_CallMethod(starting, "start", "OO", bytes, function);
  Py_XDECREF(function);
  Py_XDECREF(bytes);
  Py_XDECREF(starting);
  if (done == nullptr) return false;
  if (done == Py_None) {
    Py_DECREF(done);  // SAFETY: the call's result; else the member takes it over
  } else {
    end_ = done;
  }
  return true;
}

void Callee::end() {
  PyObject* end = std::exchange(end_, nullptr);
  PyObject* done = end == nullptr ? nullptr : PyObject_CallNoArgs(end);
  if (end != nullptr && done == nullptr) PyErr_WriteUnraisable(end);
  if (unfinished_ != nullptr && PyList_GET_SIZE(unfinished_) != 0) Py_XDECREF(end_lines(nullptr));
  PyErr_Clear();
  Py_XDECREF(done);  // SAFETY: the result, and the member's reference that was taken out
  Py_XDECREF(end);
}

void Callee::clear() {
  auto functions = std::exchange(functions_, {});  // before their destructors run
  for (auto& [number, function] : functions) Py_DECREF(function);
  if (base_context_ != nullptr && PyContext_Exit(base_context_) < 0) PyErr_Clear();
  for (PyObject** object : {&load_function_, &unpack_call_, &pack_result_, &pack_failure_, &unfinished_, &end_lines_, &end_, &apply_context_,
                             &base_context_}) {
    Py_CLEAR(*object);
  }
  Py_CLEAR(lent_type_);
}

bool Callee::run(const CallIn& in, Answer* answer, Watcher& watcher) {
  called_ = false;
  PyObject* own_context = enter_context(in.context);
  PyObject* result = PyErr_Occurred() ? nullptr : call(in, watcher);
  leave_context(own_context);
  if (PyList_GET_SIZE(unfinished_) != 0) result = end_lines(result);
  if (result != nullptr) pack_result(result, answer);
  PyObject* error = PyErr_GetRaisedException();
  if (error == nullptr) return true;
  const bool packed = pack_failure(error, answer);
  Py_DECREF(error);
  return packed;
}

// Takes the result over, and gives it back; or null with the exception set that it is to be replaced with. One that is set
// stays.
PyObject* Callee::end_lines(PyObject* result) {
  PyObject* error = PyErr_GetRaisedException();
  PyObject* done = PyObject_CallNoArgs(end_lines_);
  if (done == nullptr) Py_CLEAR(result);  // interrupted
  if (error != nullptr) PyErr_SetRaisedException(error);
  Py_XDECREF(done);  // SAFETY: the call's result
  return result;
}

// The context to leave afterwards, or null: the task runs in the worker's own. An exception may be set.
PyObject* Callee::enter_context(std::string_view variables) {
  if (variables.empty()) return nullptr;
  if (apply_context_ == nullptr) {
    PyObject* module = PyImport_ImportModule("weft._payloads.context");
    apply_context_ = module == nullptr ? nullptr : PyObject_GetAttrString(module, "apply_context");
    Py_XDECREF(module);
    if (apply_context_ == nullptr) return nullptr;
  }
  PyObject* own = PyContext_New();
  if (own == nullptr || PyContext_Enter(own) < 0) {
    Py_XDECREF(own);
    return nullptr;
  }
  PyObject* bytes = bytes_of(variables);
  PyObject* done = bytes == nullptr ? nullptr : PyObject_CallOneArg(apply_context_, bytes);
  Py_XDECREF(done);
  Py_XDECREF(bytes);
  return own;
}

// The worker's own context is made anew if the task left something in it: so the usual task, which touches no context
// variable, pays for none.
void Callee::leave_context(PyObject* own) {
  if (own == nullptr && is_empty(base_context_)) return;
  PyObject* error = PyErr_GetRaisedException();
  PyObject* fresh = own != nullptr ? nullptr : PyContext_New();
  if (PyContext_Exit(own != nullptr ? own : base_context_) < 0) PyErr_WriteUnraisable(nullptr);
  Py_XDECREF(own);
  if (fresh != nullptr) {
    if (PyContext_Enter(fresh) < 0) PyErr_WriteUnraisable(nullptr);
    Py_SETREF(base_context_, fresh);
  }
  PyErr_SetRaisedException(error);
}

PyObject* Callee::call(const CallIn& in, Watcher& watcher) {
  PyObject* message = is_pickle(in.bytes) ? unpickle(in) : unmarshal(in.bytes);
  if (message == nullptr) return nullptr;
  const unsigned long number = PyLong_AsUnsignedLong(PyTuple_GET_ITEM(message, 0));
  PyObject* kwnames = PyTuple_GET_ITEM(message, 1);
  PyObject* function = number == 0 ? PyTuple_GET_ITEM(message, 2) : function_of(number, in.definition);
  PyObject* result = nullptr;
  if (function != nullptr) {
    const Py_ssize_t first = number == 0 ? 3 : 2;
    const bool keywords = kwnames != Py_None;
    const Py_ssize_t count = PyTuple_GET_SIZE(message) - first - (keywords ? PyTuple_GET_SIZE(kwnames) : 0);
    // SAFETY: the items of a tuple lie side by side, and the message is ours alone.
    PyObject* const* values = reinterpret_cast<PyTupleObject*>(message)->ob_item + first;
    if (watcher.begins()) {
      called_ = true;
      result = PyObject_Vectorcall(function, values, static_cast<size_t>(count), keywords ? kwnames : nullptr);
    }
    watcher.ended();
  }
  Py_DECREF(message);
  return result;
}

PyObject* Callee::unpickle(const CallIn& in) {
  PyObject* bytes = bytes_of(in.bytes);
  PyObject* buffers = PyList_New(0);
  bool good = bytes != nullptr && buffers != nullptr;
  for (const auto& memory : in.buffers) {
    PyObject* lent = good ? lend(lent_type_, memory) : nullptr;
    good = lent != nullptr && PyList_Append(buffers, lent) == 0;
    Py_XDECREF(lent);
  }
  PyObject* message = good ? PyObject_CallFunctionObjArgs(unpack_call_, bytes, buffers, nullptr) : nullptr;
  Py_XDECREF(buffers);
  Py_XDECREF(bytes);
  return message;
}

// Borrowed; null with an exception set.
PyObject* Callee::function_of(unsigned long number, std::string_view definition) {
  const auto found = functions_.find(number);
  if (found != functions_.end()) return found->second;
  if (functions_.size() >= kMostFunctions) {
    auto forgotten = std::exchange(functions_, {});
    for (auto& [known, function] : forgotten) Py_DECREF(function);
  }
  PyObject* bytes = bytes_of(definition);
  PyObject* function = bytes == nullptr ? nullptr : PyObject_CallOneArg(load_function_, bytes);
  Py_XDECREF(bytes);
  if (function != nullptr) functions_.emplace(number, function);
  return function;
}

// Takes the result over. Sets an exception if it can't be packed.
void Callee::pack_result(PyObject* result, Answer* answer) {
  if (is_plain(result)) {
    answer->bytes = marshal_plain(result);
    Py_DECREF(result);
    return;
  }
  PyObject* pair = PyObject_CallOneArg(pack_result_, result);
  Py_DECREF(result);
  std::string_view text;
  PyObject* buffers;
  if (pair != nullptr && take_pickled(pair, &text, &buffers)) {
    answer->bytes = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(buffers); ++i) {
      Py_buffer view;
      if (PyObject_GetBuffer(PyList_GET_ITEM(buffers, i), &view, PyBUF_SIMPLE) < 0) break;
      answer->buffers.push_back(view);
    }
  }
  Py_XDECREF(pair);
}

bool Callee::pack_failure(PyObject* error, Answer* answer) {
  answer->clear();
  answer->raised = true;
  if (pack_failure_ == nullptr) return false;  // it has not come that far
  answer->bytes = PyObject_CallOneArg(pack_failure_, error);
  if (answer->bytes != nullptr && PyBytes_Check(answer->bytes)) return true;
  answer->clear();
  return false;
}

}  // namespace weft::core
