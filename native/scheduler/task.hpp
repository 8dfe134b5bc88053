// A task as the scheduler sees it: a link for the queue that it is in, and nothing else.
//
// The embedder derives from it. A queue owns whatever a task stands for until the task is handed to
// Runner::run or returned by Scheduler::take_all.
#pragma once

namespace weft {

struct Task {
  Task* next = nullptr;  // the injector's link; only touched under its lock, or by the task's one owner
};

}  // namespace weft
