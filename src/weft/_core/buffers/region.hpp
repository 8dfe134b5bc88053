// A native loop on a pool: the caller takes part, and helpers that are ordinary tasks of the pool.
//
// The caller lets go of the thread state and works; so do the helpers, once a worker comes to them. When the range is
// done the meeting is closed: helpers that have not begun find it closed (and are cancelled), and the caller waits
// for those inside, each of which ends within one step. So the loop, the buffers and whatever it refers to may live
// in the caller's frame, and a pool that is busy with other things only means that the caller does it all.
//
// Signals are answered between two steps of the caller on the main thread; a caller that is a task and is interrupted
// stops as well. The order is then: stop the loop, wait until all have left, raise.
//
// Called attached. Pinned by tests/kernels/test_region.py.
#pragma once

#include "kernels/loop.hpp"
#include "pool/pool.hpp"

namespace weft::core {

class PoolTeam final : public kernels::Team {
 public:
  // `core` null: the caller alone.
  PoolTeam(PyObject* module, PyObject* executor, PoolCore* core);
  size_t size() const override { return size_; }
  // False: stopped, with an exception set.
  bool run(kernels::Loop&) override;

 private:
  PyObject* const module_;    // borrowed, for the length of the call
  PyObject* const executor_;  // borrowed
  PoolCore* const core_;
  size_t size_ = 1;
};

extern PyMethodDef region_functions[];

}  // namespace weft::core
