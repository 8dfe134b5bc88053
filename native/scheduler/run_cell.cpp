#include "scheduler/run_cell.hpp"

#include <new>

namespace weft {

namespace {

struct FreeList {
  sync::Mutex mutex;
  RunCell* head = nullptr;
};

// Never destroyed: threads may still give cells back while the process ends.
FreeList& free_list() {
  static auto& list = *new FreeList;
  return list;
}

}  // namespace

RunCell* RunCell::obtain() {
  FreeList& list = free_list();
  {
    sync::LockGuard guard(list.mutex);
    if (RunCell* cell = list.head; cell != nullptr) {
      list.head = cell->next_free_;
      cell->next_free_ = nullptr;
      return cell;
    }
  }
  return new RunCell;
}

void RunCell::give_back(RunCell* cell) {
  cell->deadline_.store(sync::kForever, sync::relaxed);
  cell->word_.store(0, sync::release);
  FreeList& list = free_list();
  sync::LockGuard guard(list.mutex);
  cell->next_free_ = list.head;
  list.head = cell;
}

void RunCell::reset_after_fork() {
  // The lock may have been held by a thread that does not exist here; the cells on the list are leaked.
  FreeList& list = free_list();
  new (&list.mutex) sync::Mutex;
  list.head = nullptr;
}

}  // namespace weft
