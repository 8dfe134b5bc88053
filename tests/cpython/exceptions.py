"""What CPython's own tests of its pools cannot hold against weft's, with the reason.

They look at how the stdlib is made and not at what it promises, or at what weft promises to do differently.
"""

HEALS = "a process that dies fails the task that it ran, and another takes its place; the stdlib's pool is broken then"
MANAGER = "asks for the thread, the queue or the function by which the stdlib's pool is made"
AT_SUBMIT = "what cannot be pickled is refused when it is submitted, where the stdlib fails the future"
NAMED = (
    "what cannot be rebuilt is a PayloadError of that task; the stdlib calls the pool broken, whose workers are well"
)
LOGGED = "asks the worker's log for what the initializer raised; with ours the caller logs it"
BY_VALUE = "expects that closures, local classes and their instances are refused; ours cross by value"
IN_ORDER = "asks for the private class of the exception that shows the worker's traceback"

POOLS = {
    # processes
    "ProcessPoolProcessPoolExecutorTest.test_killed_child": HEALS,
    "ProcessPoolProcessPoolExecutorTest.test_broken_process_pool_traceback": HEALS,
    "ProcessPoolProcessPoolExecutorTest.test_failed_worker_replacement_breaks_pool": MANAGER,
    "ProcessPoolProcessPoolExecutorTest.test_force_shutdown_during_max_tasks_worker_exit": MANAGER,
    "ProcessPoolProcessPoolExecutorTest.test_gc_during_max_tasks_worker_exit_gh152967": MANAGER,
    "ProcessPoolProcessPoolExecutorTest.test_shutdown_no_wait_max_tasks_gh119592": MANAGER,
    "ProcessPoolProcessPoolExecutorTest.test_python_finalization_error": MANAGER,
    "ProcessPoolProcessPoolExecutorTest.test_saturation": AT_SUBMIT,
    "ProcessPoolProcessPoolExecutorTest.test_traceback": IN_ORDER,
    "ProcessPoolProcessPoolShutdownTest.test_del_shutdown": MANAGER,
    "ProcessPoolProcessPoolShutdownTest.test_processes_terminate": AT_SUBMIT,
    "ProcessPoolProcessPoolShutdownTest.test_shutdown_gh_132969_case_1": MANAGER,
    "ProcessPoolProcessPoolShutdownTest.test_shutdown_gh_132969_case_2": MANAGER,
    "ProcessPoolProcessPoolShutdownTest.test_shutdown_no_wait": MANAGER,
    "ProcessPoolFailingInitializerTest.test_initializer": LOGGED,
    "ProcessPoolExecutorDeadlockTest.test_error_at_task_pickle": AT_SUBMIT,
    "ProcessPoolExecutorDeadlockTest.test_error_at_task_unpickle": NAMED,
    "ProcessPoolExecutorDeadlockTest.test_error_during_result_unpickle_in_result_handler": NAMED,
    "ProcessPoolExecutorDeadlockTest.test_exit_at_task_unpickle": NAMED,
    "ProcessPoolExecutorDeadlockTest.test_exit_during_result_pickle_on_worker": NAMED,
    "ProcessPoolExecutorDeadlockTest.test_exit_during_result_unpickle_in_result_handler": NAMED,
    "ProcessPoolExecutorDeadlockTest.test_shutdown_deadlock_pickle": MANAGER,
    # interpreters
    "InterpreterPoolExecutorTest.test_init_closure": BY_VALUE,
    "InterpreterPoolExecutorTest.test_init_instance_method": BY_VALUE,
    "InterpreterPoolExecutorTest.test_submit_closure": BY_VALUE,
    "InterpreterPoolExecutorTest.test_submit_instance_method": BY_VALUE,
    "InterpreterPoolExecutorTest.test_submit_local_instance": BY_VALUE,
    "InterpreterPoolExecutorTest.test_init_exception_in_func": IN_ORDER,
    "InterpreterPoolExecutorTest.test_submit_exception_in_func": IN_ORDER,
    "InterpreterPoolExecutorTest.test_pickle_errors_propagate": AT_SUBMIT,
}

ENDLESS = ("test_broken_process_pool_traceback",)
"""Of these, tests that wait for what never comes, so that they cannot be run."""
