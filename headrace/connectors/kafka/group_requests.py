"""Administration requests that go to the coordinator of a group.

The client aborts the process when such a request has timed out and the coordinator answers after all (librdkafka up to 2.16,
seen when a broker was away for longer than the time-out). So none of them times out in the client: whoever waits gives up, and
the client that still waits is dropped (test_groups_can_be_asked_for_while_a_broker_goes_and_comes).
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

from confluent_kafka.admin import AdminClient

Answer = TypeVar("Answer")

# The longest that the client takes.
CLIENT_TIMEOUT_S = 3_600.0


class GroupRequests:
    """Keeps a client of its own for as long as it answers. Thread-safe; requests are made one after the other."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        self._configuration = dict(configuration)
        self._client: AdminClient | None = None
        self._lock = Lock()

    def run(self, ask: Callable[[AdminClient], Future[Answer]], timeout_s: float) -> Answer:
        """The answer to what `ask` sends with a `request_timeout` of `CLIENT_TIMEOUT_S`.

        Raises:
            KafkaException: the broker refused.
            TimeoutError: nothing answered in time.
        """
        with self._lock:
            client = self._client or AdminClient(self._configuration)
            self._client = None
            answer = ask(client)
            try:
                found = answer.result(timeout=timeout_s)
            except TimeoutError:
                raise
            except BaseException:
                self._client = client
                raise
            finally:
                client.poll(0)  # lets the client's log lines out
            self._client = client
            return found

    def close(self) -> None:
        """Drop the client. May be called again."""
        with self._lock:
            self._client = None
