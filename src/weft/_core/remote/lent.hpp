// Memory of another interpreter or process, seen from this one: an object that exports it, and keeps it for as long as it does.
#pragma once

#include <cstring>
#include <memory>

#include "python.hpp"

namespace weft::core {

// Memory that stays where it is for as long as this lives. Dropped attached, to whatever interpreter.
class LentMemory {
 public:
  virtual ~LentMemory() = default;
  virtual void* data() const = 0;
  virtual size_t size() const = 0;
  virtual bool is_read_only() const = 0;
};

// A copy, in memory of no interpreter.
class CopiedMemory final : public LentMemory {
 public:
  CopiedMemory(const void* data, size_t size) : copy_(new char[size]), size_(size) { std::memcpy(copy_.get(), data, size); }

  void* data() const override { return copy_.get(); }
  size_t size() const override { return size_; }
  bool is_read_only() const override { return false; }

 private:
  std::unique_ptr<char[]> copy_;
  size_t size_;
};

// A view of the caller's, released in the caller's interpreter, whoever drops it last and wherever.
class LentView final : public LentMemory {
 public:
  LentView(Py_buffer view, PyInterpreterState* owner) : view_(view), owner_(owner) {}
  ~LentView() override;
  LentView(const LentView&) = delete;
  LentView& operator=(const LentView&) = delete;

  void* data() const override { return view_.buf; }
  size_t size() const override { return static_cast<size_t>(view_.len); }
  bool is_read_only() const override { return view_.readonly != 0; }

 private:
  Py_buffer view_;
  PyInterpreterState* owner_;
};

// The type of the exporting objects, for the current interpreter; null with an exception set.
PyTypeObject* make_lent_type();
// One of them; null with an exception set.
PyObject* lend(PyTypeObject*, std::shared_ptr<LentMemory>);

}  // namespace weft::core
