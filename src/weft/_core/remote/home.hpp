// How a worker that does not run in the pool's interpreter comes into it: to settle, to start other workers, to make and end
// what it works with.
#pragma once

#include "pool/pool.hpp"
#include "remote/remote.hpp"

namespace weft::core {

class Home {
 public:
  // `state`: the thread's own in the pool's interpreter, not attached.
  Home(Executant& executant, PyThreadState* state) : x_(executant), state_(state) {}

  PyThreadState* state() const { return state_; }

  // Detached from everywhere.
  template <class Body>
  void visit(Body&& body) {
    PyEval_RestoreThread(state_);
    x_.cell->attached_.store(true, sync::relaxed);
    body();
    state_ = PyEval_SaveThread();
    x_.cell->attached_.store(false, sync::release);
    unpark_deferred(x_);
  }

  void settle(Remote& remote) {
    if (remote.has_reports()) visit([&remote] { remote.settle_all(); });
  }

 private:
  Executant& x_;
  PyThreadState* state_;
};

}  // namespace weft::core
