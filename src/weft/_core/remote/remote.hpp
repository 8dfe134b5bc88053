// What a pool has besides its scheduler when its workers share no objects with the caller: interpreters, processes.
//
// On the way out: pack_call() turns a call into bytes in submit(), on the caller's thread, so that what cannot be packed is
// refused there. Functions are numbered; a call brings along what its function is made of, and a worker makes it once.
//
// On the way back: a worker leaves a Report of each task in the pool's outbox, with no thread state of the caller's
// interpreter. Reports are settled, attached to it, by the worker itself once it has nothing else to run, else by the pool's
// settler, a thread that is started for that: a worker never waits for the caller's GIL while there is work, and a result
// never waits for the worker's next task. Reports of one pool may be settled by several threads at a time.
//
// Ends: the settler is stopped when the last worker has left, and has settled everything by then; at the latest with the
// pool, or when its interpreter ends (_finish).
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "future/future.hpp"
#include "python.hpp"
#include "remote/asides.hpp"
#include "remote/payload.hpp"
#include "sync/mutex.hpp"
#include "sync/parking.hpp"

namespace weft::core {

struct PoolCore;

// How a task went in its worker.
struct Report {
  enum Kind : uint8_t {
    dropped,    // somebody else has settled the Future: only the reference is to be given up
    given_up,   // the timer has settled it, since it was stuck
    unwanted,   // it was to be cancelled instead of being run
    returned,   // `bytes` is the result
    raised,     // `bytes` is the exception, as weft._payloads packs it
    crashed,    // its worker has died; `bytes` is "pid status", the status as the system knows it, or "?"
    refused,    // no worker can be made; the pool is broken
    aside,      // of no task: the worker has said something
  };
  Future* future;  // with the queue's reference; null for an aside
  Kind kind;
  bool interrupted = false;
  bool uncalled = false;  // it was raised before the task's function was called
  RunCell* cell = nullptr;  // of the worker
  Nanos ended = 0;
  std::string bytes;
  std::vector<std::shared_ptr<LentMemory>> buffers;  // out of band
  std::shared_ptr<Asides> asides;                    // to be said first; or null
};

// A worker that knows how its tasks are interrupted.
class Interrupter {
 public:
  // Any thread; does not wait. `wanted` is a mere key.
  virtual void interrupt(const Future* wanted, const std::string& module, const std::string& name) = 0;

 protected:
  ~Interrupter() = default;
};
// Whether the task of a Future that runs has been asked to stop and has not been told so.
bool is_asked_to_stop(Future*);

class Remote {
 public:
  // What a process may do before another one takes its place; 0: as much as it likes.
  struct Limits {
    uint64_t calls = 0;
    uint64_t memory = 0;  // bytes
    bool pipe = false;    // no shared memory
  };

  // `payloads`: the module weft._payloads.calling; `functions`: the pool's FunctionTable. Retains both. `setup`: what a
  // worker is told when it starts. `source`: gives processes, or interpreters where there is one to spare. Retained too.
  Remote(PoolCore& core, PyObject* payloads, PyObject* functions, std::string setup, PyObject* source, Limits);
  ~Remote();  // attached; the settler has been stopped
  Remote(const Remote&) = delete;
  Remote& operator=(const Remote&) = delete;
  // False: an exception is set, the Remote is of no use.
  bool prepare();

  // Fills in future->call, from a vectorcall that starts with the function. False: an exception is set. May run arbitrary
  // code. Attached to the pool's interpreter.
  [[nodiscard]] bool pack_call(Future*, PyObject* const* args, size_t positional, PyObject* kwnames);

  // What a worker is told that starts now: bytes. Null with an exception set. Attached to the pool's interpreter.
  PyObject* greeting();
  const Limits& limits() const { return limits_; }
  PyObject* source() const { return source_; }
  PyObject* initializer_failed() const { return initializer_failed_; }  // the class
  // Once for each pool. Attached.
  void warn_of_no_shared_memory(const std::string& because);
  // A worker could not be made: breaks the pool, with the exception that weft._payloads packed, or else a message.
  void fail_to_start(const std::string& failure, const char* message);

  // --- workers, not attached to the pool's interpreter ---
  void leave(Report&&);
  // Leaves what a worker says. False: too much is there; whoever reads for the worker should wait for room.
  [[nodiscard]] bool leave_aside(const std::shared_ptr<Asides>&, std::string_view message);
  // A worker is about to run a task, and there may be reports of earlier ones: have them settled meanwhile.
  void settle_soon();

  // --- attached to the pool's interpreter ---
  void settle_all();
  // Returns once all that a worker has said by now has been said here, by whomever.
  void hear(Asides&);
  bool has_reports() const { return full_.load(sync::relaxed); }

  // --- interrupting ---
  // Who is to interrupt the tasks of a cell, from now on until remove_child(); that waits, detached, until nobody is inside.
  // `calling`: whether the task's own function runs.
  void add_child(RunCell*, PyInterpreterState*, const Atomic<bool>* calling);
  void add_child(RunCell*, Interrupter*);
  void remove_child(RunCell*);
  // Attached to the child, whose task's function is about to run (`calling` is set): raises what came for it before. True: it did.
  bool raise_early_interrupt(RunCell*, const Future*);
  // Has an exception raised in the task of a Future, if it still runs there and is still asked to stop (Extras::interrupt,
  // word::kTimedOut) once its interpreter can be entered; the class is known there by its module and name. Any thread; does
  // not wait.
  void interrupt(RunCell*, const Future*, std::string module, std::string name);

  void stop_settler();  // detached; settles what is left first

 private:
  void settle(Report&);
  PyObject* unpacked_result(const Report&);
  PyObject* error_of(const Report&);
  void say_whether_it_ran(PyObject* error, bool ran);
  PyObject* what_interrupted(Future*, PyObject* error);
  void run_settler();
  struct Request {
    const Future* future = nullptr;  // a mere key
    PyObject* type = nullptr;        // borrowed, from the child's modules
  };
  struct Child {
    RunCell* cell;
    PyInterpreterState* interpreter = nullptr;
    Interrupter* interrupter = nullptr;  // else
    std::thread visitor;
    bool visiting = false;
    const Future* wanted = nullptr;  // a mere key
    std::string module, name;        // of the exception
    const Atomic<bool>* calling = nullptr;  // the task's own function runs
    Request early{};                        // for a task that had not come that far
  };
  [[nodiscard]] bool put_off(Child&, Request);
  void visit(Child&);

  PoolCore& core_;
  const std::string setup_;
  const Limits limits_;
  PyObject* payloads_;       // strong
  PyObject* functions_;      // strong
  PyObject* source_;         // strong
  PyTypeObject* lent_type_ = nullptr;  // strong
  PyObject* zero_ = nullptr;          // strong
  PyObject* str_numbered_ = nullptr;  // strong: names of methods
  PyObject* str_pack_call_ = nullptr;
  PyObject* str_unpack_result_ = nullptr;
  PyObject* str_unpack_failure_ = nullptr;
  PyObject* str_pack_context_ = nullptr;
  PyObject* str_worker_crashed_ = nullptr;
  PyObject* receive_ = nullptr;             // strong
  PyObject* initializer_failed_ = nullptr;  // strong

  Atomic<bool> warned_{false};

  sync::Mutex outbox_mutex_;
  std::vector<Report> outbox_;
  Atomic<bool> full_{false};  // there is something in the outbox; a hint

  sync::Mutex children_mutex_;
  std::vector<std::unique_ptr<Child>> children_;

  sync::Mutex settler_mutex_;  // guards starting and stopping it
  std::thread settler_;
  enum class Bell : uint32_t { silent, asleep, rung, stop };
  sync::ParkWord bell_{static_cast<uint32_t>(Bell::silent)};
};

}  // namespace weft::core
