"""headrace with state: a flow document of `benchmarks/flows`, run by a worker in this process.

The options are the kind of store and the work. The flow reads and writes the topics that this run names.
"""

import asyncio
import tempfile
from pathlib import Path

from benchmarks.contenders.measurement import Measurement, Work, asked
from headrace import Worker, relax_collector
from headrace.runtime.task.commit import Step

FLOWS = Path(__file__).parents[1] / "flows"
LOOK_S = 0.02
QUIET_LOOKS = 100
"""After so many looks without another record a run is over: what is then missing was dropped, which the check will say."""


def document(name: str, work: Work, folder: Path) -> Path:
    """The flow `name`, with the topics of this run in place of those that it names."""
    text = (FLOWS / f"{name}.yaml").read_text("utf-8")
    for written, meant in (("benchmark-events", work.source), ("benchmark-totals", work.target)):
        assert written in text, f"{name}.yaml reads benchmark-events and writes benchmark-totals"
        text = text.replace(written, meant)
    path = folder / f"{name}.yaml"
    path.write_text(text, "utf-8")
    return path


class Progress:
    """Whether anything still happens, and when it last did."""

    def __init__(self, work: Work, worker: Worker, measurement: Measurement) -> None:
        self._work, self._worker, self._measurement = work, worker, measurement
        self._read_at_commit = 0

    def read(self) -> int:
        return self._worker.statistics().records_read

    def reached(self, step: Step) -> None:
        """Called on the worker's thread. Commits count only where records were read since the one before."""
        if step is Step.DONE and (read := self.read()) > self._read_at_commit:
            self._read_at_commit = read
            self._measurement.committed()

    async def finished(self) -> None:
        """Return when the source was read, and no record has come for a while, from other topics neither.

        The clock starts at the last look at which nothing had been read.
        """
        before, quiet = 0, 0
        while before < self._work.records or quiet < QUIET_LOOKS:
            read = self.read()
            if not read and self._work.options[1] != "restore":
                self._measurement.begin()
            quiet = quiet + 1 if read == before else 0
            before = read
            await asyncio.sleep(LOOK_S)


async def run(work: Work, folder: Path) -> None:
    """Run the flow until it has done all of its work; the clock stops at the last commit with records in it."""
    store, kind = work.options
    name = "counter" if kind == "restore" else kind
    measurement = Measurement()
    if kind == "restore":
        measurement.begin()
    worker = Worker(
        document(name, work, folder),
        brokers=work.brokers,
        prefix=work.group,
        state_dir=folder / "state",
        store=store,
        reached=lambda step: progress.reached(step),
    )
    progress = Progress(work, worker, measurement)
    async with worker:
        relax_collector()  # as `headrace run` does
        looking = asyncio.create_task(progress.finished())
        ended = asyncio.create_task(worker.wait())
        await asyncio.wait((looking, ended), return_when=asyncio.FIRST_COMPLETED)
        worker.stop()
        await ended
        looking.cancel()
    measurement.report(f"headrace-{store}", f"{work.group}.{name}", work.records)


def main() -> None:
    """Do what the command line asks."""
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        asyncio.run(run(asked(), Path(folder)))


if __name__ == "__main__":
    main()
