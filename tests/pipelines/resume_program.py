"""Maps over so many items with a cache on disk, and writes down each call: to be killed, and started again."""

import os
import sys

from weft import RuntimeConfig
from weft.pipelines import DiskCache, Pipeline, node


@node(output_name="y")
def record(x: int, log: int) -> int:
    os.write(log, b"%d\n" % x)
    return x * x


if __name__ == "__main__":
    folder, log_path, items = sys.argv[1], sys.argv[2], int(sys.argv[3])
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with DiskCache(folder) as cache:
        config = RuntimeConfig(cache=cache)
        results = Pipeline([record]).map({"x": range(items), "log": log}, map_over="x", config=config)
    assert [one["y"] for one in results] == [x * x for x in range(items)]
    print("done")
