"""As seeded_tasks, for workers that can import numpy."""

import numpy as np


def roll(item: int) -> int:
    return int(np.random.randint(0, 2**62))
