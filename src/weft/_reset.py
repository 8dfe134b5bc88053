"""`reset`: back to how weft was before its first use, for tests and for programs that start over.

Only touches what has been imported: nothing is loaded just to be emptied.
Pinned by tests/test_public_names.py.
"""

import sys


def reset() -> None:
    """Shuts the default pools down and forgets what was measured and decided.

    The next use makes a new pool and measures afresh. What the program itself has set stays: the default
    configuration and the decision listeners. The tasks of the default pool are waited for.

    Raises:
        RuntimeError: It is called from a task of the default pool, which would wait for itself.

    Example:
        >>> import weft
        >>> weft.reset()
        >>> weft.last_decision() is None
        True
    """
    for module, function in (
        ("weft.futures._default", "shutdown"),
        ("weft.futures._default_workers", "shutdown"),
        ("weft.actors._spawn", "forget"),
        ("weft.actors._spawn._homes", "forget"),
        ("weft.actors._spawn.process", "forget"),
        ("weft.executors._template.template", "forget"),
        ("weft.executors._spares", "forget"),
        ("weft.pipelines._calling", "forget"),
        ("weft._capabilities", "forget"),
        ("weft._decisions", "forget"),
    ):
        if module in sys.modules:
            getattr(sys.modules[module], function)()
