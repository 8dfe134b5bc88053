"""Tasks that want random numbers, for workers of all flavors."""

import random

from weft.executors import task_seed


def roll(item: int) -> int:
    return random.Random(task_seed()).getrandbits(64)


def roll_the_global_one(item: int) -> int:
    return random.getrandbits(64)


def fail_twice(path: str) -> None:
    with open(path, "a+") as file:
        file.write(f"{task_seed()}\n")
        file.seek(0)
        if len(file.readlines()) < 3:
            raise ValueError
