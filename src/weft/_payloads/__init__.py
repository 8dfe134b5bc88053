"""What crosses to a worker that shares no objects with the caller: an interpreter of its own, or a child process.

A call is one object, the tuple ``(function number, kwnames or None, *values)``, and a result is one object. The core
writes them with `marshal` where all of it is plain (exact None, bool, int, float, complex, str, bytes, and tuples of
those); everything else is pickle protocol 5, whose first byte is 0x80, with its buffers out of band. Functions cross
once for each worker: a call names them by number.

    caller                               worker
    functions   which function is which  working     the four functions that the core calls there
    calling     calls, results, failures asides      log records, warnings, prints: what is said beside results
    receiving   what asides has sent     starting    what a worker does before its first task, and after its last
                                         chunks      chunks of `map`
                                         inner_threads  limits for the libraries there
                                         late_imports  what waits until a module is imported there
    initializing  the initializer's call   handed   descriptors that came with it
                both                     seeds       `options(seed=…)`
    pickling    the one pickler          failures    exceptions, in bytes and back
    references  by name or by value      main_module the caller's ``__main__``
    culprits    what could not cross     context     context variables
    remedies    and what to do then

This package imports nothing at load, and `working` as little as there is: a fresh interpreter has 40 ms to its first
result. So errors, most of which load the stdlib's futures and with them logging, are imported where something fails.
Pinned by tests/payloads/test_import_time.py.
"""
