"""headrace, as a service embeds it: a flow document, run by a worker in this process."""

import asyncio
import tempfile
from pathlib import Path

from benchmarks.contenders.measurement import Measurement, Work, asked
from headrace import Worker, relax_collector
from headrace.runtime.task.commit import Step

FLOW = Path(__file__).parents[1] / "flows" / "stateless.yaml"
FIRST_LOOK_S = 0.005
LOOK_S = 0.05


async def run(work: Work, state: Path) -> None:
    """Run the flow until it has read `work.records`; the clock stops at the worker's own last commit."""
    measurement = Measurement()

    def reached(step: Step) -> None:
        if step is Step.DONE:
            measurement.committed()

    worker = Worker(FLOW, brokers=work.brokers, prefix=work.group, state_dir=state, reached=reached)
    looking = asyncio.create_task(look(worker, work.records, measurement))
    async with worker:
        relax_collector()  # as `headrace run` does
        await worker.wait()
    await looking
    measurement.report("headrace", f"{work.group}.stateless", worker.statistics().records_read)


async def look(worker: Worker, records: int, measurement: Measurement) -> None:
    """Stop the worker after the last record.

    The clock starts at the last look at which nothing had been read, and the worker is stopped at the next look after the
    last record: some milliseconds to headrace's disadvantage. Every look takes the interpreter from the worker's thread.
    """
    while (read := worker.statistics().records_read) < records:
        if not read:
            measurement.begin()
        await asyncio.sleep(LOOK_S if read else FIRST_LOOK_S)
    worker.stop()


def main() -> None:
    """Do what the command line asks."""
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as state:
        asyncio.run(run(asked(), Path(state)))


if __name__ == "__main__":
    main()
