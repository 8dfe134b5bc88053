// os.fork(): the child has one thread, and copies of locks that other threads may have held.
//
// So the child touches no pool of the parent's, not even to free it: each pool and each future knows the generation it
// was made in, and refuses to be used in a later one. Process-wide locks are made anew. What other threads of the
// child's interpreter held is lost, as it is for CPython itself.

#include "pool/fork.hpp"

#include <new>

#include "pool/pool.hpp"
#include "remote/actor_buffers.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace weft::core {

sync::Atomic<uint32_t> fork_generation{0};

namespace {

[[maybe_unused]] void in_child() {
  fork_generation.fetch_add(1, sync::relaxed);
  RunCell::reset_after_fork();
  reset_lendings_after_fork();
}

}  // namespace

void watch_forks() {
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, in_child);  // once for all interpreters
  (void)registered;
#endif
}

void reset_state_after_fork(State* state) {
  new (&state->pools_mutex) sync::Mutex;
  state->pools = nullptr;
  // Leaked on purpose: the timer's thread does not exist here, and joining it would never end.
  auto* leaked = new std::weak_ptr<Timer>(std::move(state->timer));
  (void)leaked;
  state->timer.reset();
  state->main_thread = PyThread_get_thread_ident();
}

}  // namespace weft::core
