"""Which deliveries are new: remembered ones are answered at once, and one that is under way is waited for, not written again."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from headrace.connectors.webhook.answers import RefusedError
from headrace.connectors.webhook.bridge import Bridge
from headrace.connectors.webhook.outgoing import Fate, Record, unavailable
from headrace.connectors.webhook.remembered import Remembered
from headrace.connectors.webhook.tail import Delivery
from headrace.runtime.clock import Clock


class Deliveries:
    """Writes every record once, as far back as is remembered. Belongs to the event loop.

    A delivery is remembered when Kafka has acknowledged it, also where nobody waited so long; until then it is under way.
    """

    def __init__(self, clock: Clock, remembered: Remembered, *, refuses_duplicates: bool) -> None:
        self._clock = clock
        self._remembered = remembered
        self._refuses = refuses_duplicates
        self._under_way: dict[bytes, asyncio.Future[Fate]] = {}

    def remember(self, found: Sequence[Delivery]) -> None:
        """Deliveries that were found in the topic."""
        for digest, at_ms in found:
            self._remembered.add(digest, at_ms)

    def settled(self, record: Record, is_written: bool) -> None:
        """What became of a record is known."""
        if record.digest is None:
            return
        self._under_way.pop(record.digest, None)
        if is_written:
            self._remembered.add(record.digest, self._clock.now_ms())

    def is_known(self, digest: bytes | None) -> bool:
        """Whether Kafka has it.

        Raises:
            RefusedError: 409, where duplicates are refused, also of a delivery that is under way.
        """
        if digest is None:
            return False
        is_written = self._remembered.has(digest, self._clock.now_ms())
        if self._refuses and (is_written or digest in self._under_way):
            text = "was taken already" if is_written else "is being written"
            raise RefusedError(HTTPStatus.CONFLICT, f"this delivery {text}")
        return is_written

    def write(self, bridge: Bridge, record: Record) -> asyncio.Future[Fate]:
        """Write a record that is not known, or wait with whoever sent it first.

        Raises:
            RefusedError: 503, there is nobody to write it.
        """
        digest = record.digest
        if digest is not None and digest in self._under_way:
            return self._under_way[digest]
        outgoing = bridge.outgoing
        if outgoing is None:
            raise unavailable(bridge.why_not)
        future = outgoing.write(record)
        bridge.wake()
        # Where it was refused at once, `settled` has been called already.
        if digest is not None and not future.done():
            self._under_way[digest] = future
        return future
