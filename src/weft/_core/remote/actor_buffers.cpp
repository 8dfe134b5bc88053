// Large buffers of an actor's messages, which its channel only names.
//
// To another process they go in blocks of shared memory (channel/blocks.hpp), over a socket of their own: one copy, into the block;
// the receiver reads them in place. A capsule holds both directions of one side.
//
// To a thread or an interpreter of this process they are lent: the table here is the process's, a lending is the two directions of
// one channel, and what was lent and not taken is dropped when either side ends the lending. An interpreter that may end before
// what it sent is read lends a copy, which is of no interpreter.
//
// Any thread, attached; memory is copied detached, and no Python object is dropped under a lock.
// Pinned by tests/actors/test_buffers.py.

#include "remote/actor_buffers.hpp"

#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <system_error>
#include <unordered_map>

#include "remote/lent.hpp"
#include "state.hpp"
#include "sync/mutex.hpp"

#ifdef WEFT_PROCESSES
#include "channel/corrupt.hpp"
#include "channel/descriptor.hpp"
#include "remote/parcels.hpp"
#endif

namespace weft::core {

namespace {

// SAFETY: the functions here are the module's, whose state is a State.
State* state_of(PyObject* module) { return static_cast<State*>(PyModule_GetState(module)); }

PyObject* lent_object(PyObject* module, std::shared_ptr<LentMemory> memory) {
  PyTypeObject* type = state_of(module)->lent_type;
  return lend(type, std::move(memory));
}

// ---- within this process ----------------------------------------------------------------------------------------------

using Lending = std::unordered_map<uint64_t, std::shared_ptr<LentMemory>>;

struct Lendings {
  sync::Mutex mutex;
  uint64_t last = 0;
  std::unordered_map<uint64_t, Lending> open;
};

// Never destroyed: threads may outlive the statics.
Lendings& lendings() {
  static auto* all = new Lendings;
  return *all;
}

PyObject* begin_lending(PyObject*, PyObject*) {
  Lendings& all = lendings();
  sync::LockGuard guard(all.mutex);
  all.open.try_emplace(++all.last);
  return PyLong_FromUnsignedLongLong(all.last);
}

PyObject* end_lending(PyObject*, PyObject* number_object) {
  const uint64_t number = PyLong_AsUnsignedLongLong(number_object);
  if (PyErr_Occurred()) return nullptr;
  Lending dropped;  // outside of the lock: views are released in whatever interpreter they are of
  {
    Lendings& all = lendings();
    sync::LockGuard guard(all.mutex);
    if (const auto found = all.open.find(number); found != all.open.end()) {
      dropped = std::move(found->second);
      all.open.erase(found);
    }
  }
  Py_RETURN_NONE;
}

PyObject* lend_buffer(PyObject*, PyObject* args) {
  unsigned long long number;
  PyObject* object;
  int copied;
  if (!PyArg_ParseTuple(args, "KOp:lend_buffer", &number, &object, &copied)) return nullptr;
  Py_buffer view;
  if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0) return nullptr;
  std::shared_ptr<LentMemory> memory;
  if (copied) {
    try {
      detached([&] { memory = std::make_shared<CopiedMemory>(view.buf, static_cast<size_t>(view.len)); });
    } catch (const std::bad_alloc&) {
      PyBuffer_Release(&view);
      return PyErr_NoMemory();
    }
    PyBuffer_Release(&view);
  } else {
    memory = std::make_shared<LentView>(view, PyInterpreterState_Get());
  }
  Lendings& all = lendings();
  uint64_t name = 0;
  {
    sync::LockGuard guard(all.mutex);
    if (const auto found = all.open.find(number); found != all.open.end()) {
      name = ++all.last;
      found->second.emplace(name, std::move(memory));
    }
  }
  if (name == 0) Py_RETURN_NONE;
  return PyLong_FromUnsignedLongLong(name);
}

PyObject* take_lent(PyObject* module, PyObject* args) {
  unsigned long long number, name;
  if (!PyArg_ParseTuple(args, "KK:take_lent", &number, &name)) return nullptr;
  std::shared_ptr<LentMemory> memory;
  {
    Lendings& all = lendings();
    sync::LockGuard guard(all.mutex);
    if (const auto found = all.open.find(number); found != all.open.end()) {
      if (const auto entry = found->second.find(name); entry != found->second.end()) {
        memory = std::move(entry->second);
        found->second.erase(entry);
      }
    }
  }
  if (memory == nullptr) {
    PyErr_SetString(PyExc_ValueError, "a message names a buffer that was not lent");
    return nullptr;
  }
  return lent_object(module, std::move(memory));
}

// ---- between processes ------------------------------------------------------------------------------------------------

#ifdef WEFT_PROCESSES

constexpr const char* kName = "weft.blocks";

struct Blocks {
  explicit Blocks(int number) : socket(number), writer(number), reader(number) {}

  channel::Descriptor socket;  // outlives both
  sync::Mutex mutex;           // for the two below
  channel::BlockWriter writer;
  channel::BlockReader reader;
};

// SAFETY: a capsule of this name holds what open_blocks() put there.
Blocks* blocks_in(PyObject* capsule) { return static_cast<Blocks*>(PyCapsule_GetPointer(capsule, kName)); }

void drop_blocks(PyObject* capsule) {
  Blocks* blocks = blocks_in(capsule);
  if (blocks == nullptr) {
    PyErr_Clear();
    return;
  }
  delete blocks;
}

PyObject* set_error(const std::exception& error) {
  if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
    Owned value(Py_BuildValue("(is)", system->code().value(), error.what()));
    if (value) PyErr_SetObject(PyExc_OSError, value.get());
  } else {
    PyErr_SetString(PyExc_ValueError, error.what());
  }
  return nullptr;
}

PyObject* make_block_sockets(PyObject*, PyObject*) {
  try {
    channel::DescriptorPair pair = channel::make_socket_pair(true);
    PyObject* numbers = Py_BuildValue("(ii)", pair.first.get(), pair.second.get());
    if (numbers != nullptr) {
      (void)pair.first.release();
      (void)pair.second.release();
    }
    return numbers;
  } catch (const std::exception& error) {
    return set_error(error);
  }
}

PyObject* open_blocks(PyObject*, PyObject* number_object) {
  const int number = PyLong_AsInt(number_object);
  if (number == -1 && PyErr_Occurred()) return nullptr;
  auto* blocks = new Blocks(number);
  PyObject* capsule = PyCapsule_New(blocks, kName, drop_blocks);
  if (capsule == nullptr) {
    (void)blocks->socket.release();  // the caller's still
    delete blocks;
  }
  return capsule;
}

PyObject* put_block(PyObject*, PyObject* args) {
  PyObject* capsule;
  Py_buffer view;
  if (!PyArg_ParseTuple(args, "Oy*:put_block", &capsule, &view)) return nullptr;
  Blocks* blocks = blocks_in(capsule);
  std::optional<channel::BlockSlice> slice;
  std::exception_ptr failure;
  if (blocks != nullptr) {
    detached([&] {
      try {
        std::optional<channel::Block> block;
        {
          sync::LockGuard guard(blocks->mutex);
          block = blocks->writer.acquire(static_cast<size_t>(view.len));
        }
        if (!block) return;
        std::memcpy(block->bytes.data(), view.buf, static_cast<size_t>(view.len));
        sync::LockGuard guard(blocks->mutex);
        slice = blocks->writer.lend(*block);
      } catch (...) {
        failure = std::current_exception();
      }
    });
  }
  const bool read_only = view.readonly != 0;
  PyBuffer_Release(&view);
  if (blocks == nullptr) return nullptr;
  if (failure != nullptr) {
    try {
      std::rethrow_exception(failure);
    } catch (const std::bad_alloc&) {
      return PyErr_NoMemory();
    } catch (const std::exception& error) {
      return set_error(error);
    }
  }
  if (!slice) Py_RETURN_NONE;
  return Py_BuildValue("(KKKO)", static_cast<unsigned long long>(slice->block),
                       static_cast<unsigned long long>(slice->offset), static_cast<unsigned long long>(slice->size),
                       read_only ? Py_True : Py_False);
}

PyObject* take_block(PyObject* module, PyObject* args) {
  PyObject* capsule;
  unsigned long long block, offset, size;
  int read_only;
  if (!PyArg_ParseTuple(args, "OKKKp:take_block", &capsule, &block, &offset, &size, &read_only)) return nullptr;
  Blocks* blocks = blocks_in(capsule);
  if (blocks == nullptr) return nullptr;
  try {
    channel::BlockLease lease;
    {
      sync::LockGuard guard(blocks->mutex);
      lease = blocks->reader.open({block, offset, size});
    }
    return lent_object(module, std::make_shared<LeasedMemory>(std::move(lease), read_only != 0));
  } catch (const std::exception& error) {
    return set_error(error);
  }
}

#endif

}  // namespace

void reset_lendings_after_fork() { new (&lendings().mutex) sync::Mutex; }

PyMethodDef buffer_functions[] = {
    {"begin_lending", begin_lending, METH_NOARGS,
     "begin_lending($module, /)\n--\n\nThe number of a lending: what two sides of this process lend each other. Internal."},
    {"end_lending", end_lending, METH_O,
     "end_lending($module, lending, /)\n--\n\nDrop what was lent and not taken; nothing more can be lent. Internal."},
    {"lend_buffer", lend_buffer, METH_VARARGS,
     "lend_buffer($module, lending, buffer, copied, /)\n--\n\n"
     "Lend a buffer, or a copy of it, and give its name; None if the lending has ended. Internal."},
    {"take_lent", take_lent, METH_VARARGS,
     "take_lent($module, lending, name, /)\n--\n\nWhat was lent by that name, once. Internal."},
#ifdef WEFT_PROCESSES
    {"make_block_sockets", make_block_sockets, METH_NOARGS,
     "make_block_sockets($module, /)\n--\n\nTwo descriptors, for `open_blocks` in two processes. Internal."},
    {"open_blocks", open_blocks, METH_O,
     "open_blocks($module, descriptor, /)\n--\n\n"
     "Both directions of one side of shared memory; the descriptor is its own from now on. Internal."},
    {"put_block", put_block, METH_VARARGS,
     "put_block($module, blocks, buffer, /)\n--\n\n"
     "Copy a buffer to where the other side can read it: block, offset, size, read-only. None if it has to go as bytes. "
     "Internal."},
    {"take_block", take_block, METH_VARARGS,
     "take_block($module, blocks, block, offset, size, read_only, /)\n--\n\nWhat the other side put there. Internal."},
#endif
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace weft::core
