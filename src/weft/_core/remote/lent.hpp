// Memory of one interpreter, seen from another one: an object that exports it, and keeps it for as long as it does.
#pragma once

#include <memory>

#include "python.hpp"

namespace weft::core {

// A view of the caller's, released in the caller's interpreter, whoever drops it last and wherever.
class LentView {
 public:
  LentView(Py_buffer view, PyInterpreterState* owner) : view_(view), owner_(owner) {}
  ~LentView();  // attached, to whatever interpreter
  LentView(const LentView&) = delete;
  LentView& operator=(const LentView&) = delete;

  const Py_buffer& view() const { return view_; }

 private:
  Py_buffer view_;
  PyInterpreterState* owner_;
};

// The type of the exporting objects, for the current interpreter; null with an exception set.
PyTypeObject* make_lent_type();
// One of them; null with an exception set.
PyObject* lend(PyTypeObject*, std::shared_ptr<LentView>);

}  // namespace weft::core
