// What one worker says beside its results, on its way to the caller: log records, warnings, lines (weft._payloads.asides).
//
// Messages are left here by the worker's side, with no thread state of the caller's interpreter, and said there, in order,
// by whoever settles the pool's reports. A result that was left after a message is settled after it: its report brings
// these along. When more is left than is said, whoever leaves it waits a little: so memory is bounded, and nobody hangs
// because the caller holds its GIL.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "python.hpp"
#include "sync/mutex.hpp"
#include "sync/parking.hpp"

namespace weft::core {

class Asides {
 public:
  explicit Asides(uint32_t worker) : worker_(worker) {}

  // --- any thread, not attached to the pool's interpreter ---
  // True: nobody has been told to say these; leave a report that does.
  [[nodiscard]] bool leave(std::string_view message);
  bool is_full() const { return waiting_bytes_.load(sync::relaxed) > kMostBytes; }
  void wait_for_room() const;
  // Something has been left and not been said to its end.
  bool any() const { return unsaid_.load(sync::acquire) != 0; }

  // --- attached to the pool's interpreter ---
  // Hands what is there to `receive(message, "prefix_number")`, and returns once all has been said that was there before.
  void say(PyObject* receive, PyObject* prefix);

 private:
  static constexpr size_t kMostBytes = 1 << 20;
  static constexpr Nanos kPatience = 1 * sync::kSecond;

  std::vector<std::string> take_waiting();
  void say_all(PyObject* receive, PyObject* name);

  const uint32_t worker_;
  sync::Mutex mutex_;  // guards the next one
  std::vector<std::string> waiting_;
  Atomic<size_t> waiting_bytes_{0};
  Atomic<size_t> unsaid_{0};  // messages
  sync::ParkWord taken_{0};   // how often somebody has taken what was waiting

  sync::Mutex saying_;
  Atomic<unsigned long> sayer_{0};  // the thread that says it now; a handler of the caller's may settle other reports
};

}  // namespace weft::core
