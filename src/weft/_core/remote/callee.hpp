// The worker's side of a call: bytes in, the task run, bytes out. In an interpreter or a process of the pool's.
//
// One for each interpreter that runs tasks, used by its one thread, attached to it. Keeps the functions that it has made.
// Frames here are on the stack while a task runs: plain pointers, no Owned, see there.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "python.hpp"
#include "remote/lent.hpp"

namespace weft::core {

// A call as it arrived. The memory stays as it is until run() returns; what is lent, for as long as somebody has it.

struct CallIn {
  std::string_view bytes;
  std::string_view definition;  // what the function is made of; empty: it is known here, or among the values
  std::string_view context;     // context variables; empty: none
  std::vector<std::shared_ptr<LentMemory>> buffers;
};

// What became of it. Owns what it refers to: clear() it, attached.
struct Answer {
  bool raised = false;
  PyObject* bytes = nullptr;       // strong: bytes
  std::vector<Py_buffer> buffers;  // out of band

  std::string_view text() const {
    return {PyBytes_AS_STRING(bytes), static_cast<size_t>(PyBytes_GET_SIZE(bytes))};
  }
  void clear();
};

class Callee {
 public:
  // Told when the task's own function runs. What a task is interrupted with is for that: in the import of its module it might be
  // swallowed, or leave the import undone for the tasks after it.
  class Watcher {
   public:
    virtual bool begins() = 0;  // false, with an exception set: it is not to be called
    virtual void ended() = 0;

   protected:
    ~Watcher() = default;
  };

  Callee() = default;
  ~Callee() = default;  // after clear()
  Callee(const Callee&) = delete;
  Callee& operator=(const Callee&) = delete;

  // Imports what it needs and does what the pool wants done first (weft._payloads.starting). `say` takes what the worker
  // says beside its results, in bytes. False: an exception is set.
  bool prepare(std::string_view greeting, PyMethodDef* say, PyObject* self);
  // Leaves the initializer's context manager; once, after the last call.
  void end();
  void clear();

  // Runs the call and packs what comes of it. False, with an exception set: not even that the task failed could be
  // packed, as when an interrupt came into it.
  [[nodiscard]] bool run(const CallIn&, Answer*, Watcher&);
  // Whether the last run() came as far as the task's function.
  bool called() const { return called_; }
  // Packs an exception in place of a result. False: an exception is set.
  [[nodiscard]] bool pack_failure(PyObject* error, Answer*);

 private:
  bool start(std::string_view greeting, PyMethodDef* say, PyObject* self);
  PyObject* enter_context(std::string_view variables);
  void leave_context(PyObject* own);
  PyObject* call(const CallIn&, Watcher&);
  PyObject* unpickle(const CallIn&);
  PyObject* function_of(unsigned long number, std::string_view definition);
  void pack_result(PyObject* result, Answer*);
  PyObject* end_lines(PyObject* result);

  // All strong.
  PyObject* load_function_ = nullptr;
  PyObject* unpack_call_ = nullptr;
  PyObject* pack_result_ = nullptr;
  PyObject* pack_failure_ = nullptr;
  PyObject* unfinished_ = nullptr;     // a list: not empty if there are lines to be ended
  PyObject* end_lines_ = nullptr;
  PyObject* end_ = nullptr;  // what leaves the initializer's context manager, or null
  PyObject* apply_context_ = nullptr;  // null until the first context arrives
  PyObject* base_context_ = nullptr;   // entered as long as this lives, and kept empty
  PyTypeObject* lent_type_ = nullptr;
  bool called_ = false;
  std::unordered_map<unsigned long, PyObject*> functions_;
};

}  // namespace weft::core
