"""Where the processes of a process pool come from: a template, forked for each worker.

A plain fork of the caller's process copies its threads' locks in whatever state they are; a fresh interpreter for each
worker takes as long as its imports. So a *template* is started once: a fresh interpreter with one thread, which imports
what workers need and then does nothing but fork.

    caller                                     template                          worker
    template        which template, and its    boot       finds weft, and the    forked    from its fork to its end
                    life                                  rest of this folder
    process         one template process       serving    forks, reaps, reports
    worker_process  one worker of it
    launch          how it is started
                               both sides
    messages        what crosses the socket    surroundings  what a worker has from the caller

Who goes when: a template leaves, and kills its workers, when its socket to the caller ends or the caller's process
does; the caller kills the workers of a template that died. None waits for another's good will.
Nothing is imported here: the template loads this package too, and has 45 ms to its first worker.
Pinned by tests/executors/test_template.py and test_template_ends.py.
"""
