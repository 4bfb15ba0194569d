"""A worker process that kills itself: `victim.py SETTINGS FLOWS STEP COUNT`.

`SETTINGS` is JSON for `WorkerSettings`. The process dies by SIGKILL before step STEP of its COUNT-th commit (7 is behind
the last step), or with STEP `restore` before the COUNT-th time that restoring writes to the store. With STEP 0 it runs until
somebody else ends it; with STEP `slow` also, but it takes few records at once and rests COUNT ms in each commit. It prints
`ready` when it was given partitions.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from typing import Any

from headrace import Worker, WorkerSettings
from headrace.runtime.state.restore import Restorer
from headrace.runtime.task.commit import Step
from headrace.runtime.worker.batch_size import BatchSize


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_restoring(count: int) -> None:
    """Count what the restorer writes, and die at the given time."""
    write, written = Restorer._write, 0

    def counted(*arguments: Any) -> None:
        nonlocal written
        written += 1
        if written >= count:
            die()
        write(*arguments)

    setattr(Restorer, "_write", counted)  # noqa: B010 # no step of a commit tells of it


def take_little() -> None:
    """Read few records at once, however fast they go."""
    setattr(BatchSize, "records", property(lambda _: 100, lambda *_: None))  # noqa: B010 # read-only for the engine


async def main() -> None:
    settings = WorkerSettings.model_validate(json.loads(sys.argv[1]))
    flows, place, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
    step = int(place) if place.isdigit() else 0
    if place == "slow":
        take_little()
    if place == "restore":
        die_while_restoring(count)
    seen = 0

    def reached(now: Step) -> None:
        nonlocal seen
        if place == "slow" and now == Step.FLUSH_OUTPUTS:
            time.sleep(count / 1000)
        seen += now == Step.FLUSH_OUTPUTS
        if now == step and seen >= count:
            die()

    async with Worker(flows, settings=settings, reached=reached) as worker:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        print("ready", flush=True)  # noqa: T201 # what the test waits for
        await worker.wait()


logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(name)s: %(message)s")
asyncio.run(main())
