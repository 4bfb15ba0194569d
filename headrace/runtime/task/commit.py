"""The commit: the one place where what a group of flows did becomes true."""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Protocol

from headrace.runtime.contracts.broker import Consumer, Producer, TopicPartition

BROKER_TIMEOUT_S = 30.0
"""The longest wait for the broker in one step of a commit."""


class Step(IntEnum):
    """The steps of the commit, in order; crash tests kill the worker before each of them and after the last."""

    FLUSH_OUTPUTS = 1
    WRITE_CHANGELOG = 2
    SEND_POSITIONS = 3
    COMMIT_TRANSACTION = 4
    WRITE_STORES = 5
    RELEASE = 6
    DONE = 7


class State(Protocol):
    """The state of the tasks, as the commit sees it."""

    def write_changelog(self) -> None:
        """Put one changelog record per changed key into the transaction."""

    def write_stores(self, positions: Mapping[TopicPartition, int]) -> None:
        """Write the changed keys and the changelog positions to the stores, in one batch each."""


class NoState:
    """The state of flows that keep none."""

    def write_changelog(self) -> None:
        """There is nothing to write."""

    def write_stores(self, positions: Mapping[TopicPartition, int]) -> None:
        """There is nothing to write."""


class Commit:
    """Commits outputs, state and positions of one member together. Called on the member's thread.

    A process that dies before step 4 has done nothing: the broker aborts the transaction, and the records are read
    again. One that dies after step 4 has done everything: step 5 can be made up for from the changelog.
    """

    def __init__(
        self,
        producer: Producer,
        consumer: Consumer,
        *,
        state: State,
        is_transactional: bool,
        reached: Callable[[Step], None],
        release: Callable[[Mapping[TopicPartition, int]], None],
    ) -> None:
        self._producer = producer
        self._consumer = consumer
        self._state = state
        self._is_transactional = is_transactional
        self._reached = reached
        self._release = release

    def run(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit everything up to these positions.

        1. Flush generated outputs.
        2. Write changelog records of the keys changed since the last commit.
        3. Send positions with the group's metadata.
        4. Commit the transaction.
        5. Write the changed keys and the changelog positions to the store.
        6. Release what waited on the commit.

        Raises:
            TransactionError: nothing was committed; abort and rewind.
            FencedError: nothing was committed; join anew.
            BrokerUnavailableError: whether it was committed is unknown; a new producer of the same id finds out.
        """
        self._reached(Step.FLUSH_OUTPUTS)  # 1
        # The transaction's own commit waits for deliveries; here they only leave, so that step 3 overlaps with them.
        self._producer.poll(0)
        if not self._is_transactional:
            self._producer.flush(BROKER_TIMEOUT_S)
        self._reached(Step.WRITE_CHANGELOG)  # 2
        self._state.write_changelog()
        self._reached(Step.SEND_POSITIONS)  # 3
        if self._is_transactional:
            self._producer.send_positions(positions, self._consumer.group_metadata())
            self._reached(Step.COMMIT_TRANSACTION)  # 4
            self._producer.commit_transaction(BROKER_TIMEOUT_S)
        else:
            self._producer.flush(BROKER_TIMEOUT_S)
            self._reached(Step.COMMIT_TRANSACTION)  # 4
            self._consumer.commit(positions)
        self._reached(Step.WRITE_STORES)  # 5
        self._state.write_stores(positions)
        self._reached(Step.RELEASE)  # 6
        self._release(positions)
        self._reached(Step.DONE)
