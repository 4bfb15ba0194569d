"""A worker process that kills itself at a step of a commit: `victim.py SETTINGS FLOW STEP COMMIT`.

`SETTINGS` is JSON for `WorkerSettings`. The process dies by SIGKILL before step STEP of its COMMIT-th commit (7 is behind
the last step); with STEP 0 it runs until somebody else ends it. It prints `ready` when it was given partitions.
"""

import asyncio
import json
import os
import signal
import sys

from headrace import Worker, WorkerSettings
from headrace.runtime.task.commit import Step


async def main() -> None:
    settings = WorkerSettings.model_validate(json.loads(sys.argv[1]))
    flow, step, commit = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    seen = 0

    def reached(now: Step) -> None:
        nonlocal seen
        seen += now == Step.FLUSH_OUTPUTS
        if now == step and seen >= commit:
            os.kill(os.getpid(), signal.SIGKILL)

    async with Worker(flow, settings=settings, reached=reached) as worker:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        print("ready", flush=True)  # noqa: T201 # what the test waits for
        await worker.wait()


asyncio.run(main())
