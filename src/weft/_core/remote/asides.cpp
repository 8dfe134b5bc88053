#include "remote/asides.hpp"

#include <utility>

namespace weft::core {

bool Asides::leave(std::string_view message) {
  sync::LockGuard guard(mutex_);
  const bool first = waiting_.empty();
  waiting_.emplace_back(message);
  waiting_bytes_.fetch_add(message.size(), sync::relaxed);
  unsaid_.fetch_add(1, sync::release);
  return first;
}

void Asides::wait_for_room() const {
  const Nanos deadline = sync::deadline_after(kPatience);
  for (;;) {
    const uint32_t seen = taken_.load(sync::acquire);
    if (!is_full() || sync::park(taken_, seen, deadline) == sync::Parked::timed_out) return;
  }
}

std::vector<std::string> Asides::take_waiting() {
  sync::LockGuard guard(mutex_);
  waiting_bytes_.store(0, sync::relaxed);
  taken_.fetch_add(1, sync::release);
  sync::unpark_all(taken_);
  return std::exchange(waiting_, {});
}

void Asides::say(PyObject* receive, PyObject* prefix) {
  const unsigned long me = PyThread_get_thread_ident();
  if (sayer_.load(sync::relaxed) == me) return;  // what takes a message settles other reports: it is being said
  PyObject* name = PyUnicode_FromFormat("%U_%u", prefix, worker_);
  if (name == nullptr) {
    PyErr_WriteUnraisable(nullptr);
    return;
  }
  if (!saying_.try_lock()) detached([this] { saying_.lock(); });
  sayer_.store(me, sync::relaxed);
  say_all(receive, name);
  sayer_.store(0, sync::relaxed);
  saying_.unlock();
  Py_DECREF(name);  // SAFETY: made above; no Owned, since the caller's code runs in between
}

void Asides::say_all(PyObject* receive, PyObject* name) {
  for (auto messages = take_waiting(); !messages.empty(); messages = take_waiting()) {
    for (const std::string& message : messages) {
      PyObject* bytes = PyBytes_FromStringAndSize(message.data(), static_cast<Py_ssize_t>(message.size()));
      PyObject* said = bytes == nullptr ? nullptr : PyObject_CallFunctionObjArgs(receive, bytes, name, nullptr);
      if (said == nullptr) PyErr_WriteUnraisable(receive);  // an interrupt of the caller's, and there is nobody to raise it to
      Py_XDECREF(said);  // SAFETY: both made above
      Py_XDECREF(bytes);
      unsaid_.fetch_sub(1, sync::release);
    }
  }
}

}  // namespace weft::core
