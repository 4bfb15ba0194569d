"""The engine's process: `python -m headrace.connectors.cdc.debezium.child`, started and spoken to by `process.EngineProcess`.

It reads how to begin from its standard input, runs one connector, and ends: when the connector does, when it is told to, or at
once when the worker is gone. It keeps nothing: positions come with the beginning and go with each batch.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, BinaryIO

from headrace.connectors.cdc.debezium.frames import (
    BATCH,
    COMMITTED,
    END,
    LIFE,
    START,
    Batch,
    again_of,
    encode_batch,
    read_frame,
    write_frame,
    write_json,
)

_ORPHANED = 3


class Child:
    """Runs the connector that the first frame describes."""

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests = requests
        self._answers = answers
        self._lock = Lock()
        self._committed: SimpleQueue[bool] = SimpleQueue()
        self._history: Path | None = None
        self._history_lines = 0

    def run(self) -> None:
        """Return when the connector has ended and that was told."""
        frame = read_frame(self._requests)
        if frame is None or frame.kind != START:
            return
        with tempfile.TemporaryDirectory(prefix="headrace-debezium-") as folder:
            try:
                is_success, message, cause = self._run(frame.json(), Path(folder))
            except Exception as error:  # whatever it is, the worker wants to hear of it
                is_success, message, cause = False, "the engine could not be made", f"{error}"
            self._tell(END, {"success": is_success, "message": message, "cause": cause})

    def _run(self, start: Mapping[str, Any], folder: Path) -> tuple[bool, str, str]:
        from headrace.connectors.cdc.debezium.engine import (
            Engine,
            Positions,
            entry_of,
            is_counted,
            start_java,
        )
        from headrace.connectors.cdc.debezium.entries import Entries
        from headrace.connectors.cdc.debezium.guard import SLOT_AHEAD, slot_loss

        start_java(start["jars"], start["jvm_options"], start["java_home"], folder)
        if loss := slot_loss(start["properties"], start["offsets"]):
            return False, SLOT_AHEAD, loss
        offsets = folder / "offsets"
        Positions.write(offsets, start["offsets"])
        properties = {**start["properties"], "offset.storage.file.filename": str(offsets)}
        if start["history"] is not None:
            self._history = folder / "history"
            self._history.write_text("".join(f"{line}\n" for line in start["history"]))
            self._history_lines = len(start["history"])
            properties["schema.history.internal.file.filename"] = str(self._history)
        entries = None
        if start["is_postgres"]:
            is_anew = not start["offsets"]
            entries = Entries(entry_of, is_counted, again_of(start["again"]), is_anew=is_anew)
        engine = Engine(
            properties,
            deliver=self._deliver,
            told=lambda event: self._tell(LIFE, {"event": event}),
            new_history=self._new_history,
            is_many=start["is_many"],
            entries=entries,
        )
        Thread(target=self._listen, daemon=True).start()
        engine.run()
        return engine.result

    def _new_history(self) -> Sequence[str]:
        """The lines that the engine has added to the schema's history since the last batch.

        The engine writes a statement before it reads the rows behind it, so that with each batch there is what its rows need.
        """
        if self._history is None:
            return ()
        lines = self._history.read_text().splitlines()
        new = lines[self._history_lines :]
        self._history_lines = len(lines)
        return new

    def _deliver(self, batch: Batch) -> None:
        with self._lock:
            write_frame(self._answers, BATCH, encode_batch(batch))
        self._committed.get()

    def _tell(self, kind: bytes, body: Any) -> None:
        with self._lock:
            write_json(self._answers, kind, body)

    def _listen(self) -> None:
        """Hear of commits. When the worker closes its side, or is gone, nobody will ever commit again."""
        while True:
            frame = read_frame(self._requests)
            if frame is None:
                os._exit(_ORPHANED)  # Java's threads would go on, and hold the slot
            if frame.kind == COMMITTED:
                self._committed.put(True)


def main() -> None:
    """Standard output is for frames alone: whatever prints is sent to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    Child(sys.stdin.buffer, answers).run()
    answers.flush()
    os._exit(0)  # Java would wait for threads of drivers that nobody has ended


if __name__ == "__main__":
    main()
