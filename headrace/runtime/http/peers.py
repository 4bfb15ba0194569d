"""The other workers of a group: who has which partition, and asking them. Called from threads that may wait."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock

from headrace.runtime.address import Address, parse_address
from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Admin, GroupMember
from headrace.runtime.errors import HeadraceError, RetriableError
from headrace.runtime.http.client import Answer, ask
from headrace.runtime.http.problems import ProblemError
from headrace.runtime.worker.client_ids import address_of, name_of

logger = logging.getLogger(__name__)

FORWARDED = "headrace-forwarded"
"""Marks a request that another worker passed on: it is answered from here or not at all. Its value is a partition, or `all`."""
ALL = "all"
MEMBERS_S = 1.0
"""How long what the broker told of a group is believed; a task moves seldom."""


@dataclass(frozen=True)
class Peer:
    """A member of a group in some worker; `address` is None where that answers no HTTP."""

    name: str
    address: Address | None
    member: GroupMember


class Peers:
    """Finds and asks workers. Thread-safe."""

    def __init__(
        self, new_admin: Callable[[], Admin], *, own: str, token: str | None, clock: Clock
    ) -> None:
        self._new_admin = new_admin
        self._own = own
        self._token = token
        self._clock = clock
        self._lock = Lock()
        self._admin: Admin | None = None
        self._known: dict[str, tuple[float, list[Peer]]] = {}

    def of(self, group: str, *, is_fresh: bool = False) -> list[Peer]:
        """The members of a group.

        Raises:
            ProblemError: no broker answers.
        """
        now_s = self._clock.monotonic_s()
        known = self._known.get(group)
        if known is not None and not is_fresh and now_s - known[0] < MEMBERS_S:
            return known[1]
        try:
            members = self._opened().group_members(group)
        except HeadraceError as error:
            logger.warning("who is in group %s is not known: %s", group, error)
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the broker does not tell which worker has the key; see the worker's log",
                retry_after_s=2,
            ) from error
        found = [Peer(name_of(one.client_id), _address(one.client_id), one) for one in members]
        self._known[group] = (now_s, found)
        return found

    def is_own(self, peer: Peer) -> bool:
        """Whether it is a member of this very worker."""
        return peer.address is not None and str(peer.address) == self._own

    def ask(self, peer: Peer, target: str, hop: str) -> Answer:
        """Pass a request on to another worker; `target` is its path and query.

        Raises:
            ProblemError: it cannot be asked.
        """
        if peer.address is None:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"worker '{peer.name}' has it and answers no HTTP; start it with --http",
            )
        try:
            answer = ask(peer.address, target, token=self._token, headers={FORWARDED: hop})
        except RetriableError as error:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"worker '{peer.name}': {error}", retry_after_s=2
            ) from error
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise ProblemError(
                HTTPStatus.BAD_GATEWAY,
                f"worker '{peer.name}' has another http_token than this one; give all the same",
            )
        return answer

    def close(self) -> None:
        """Close the connection to the broker. May be called again."""
        with self._lock:
            admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()

    def _opened(self) -> Admin:
        with self._lock:
            if self._admin is None:
                self._admin = self._new_admin()
            return self._admin


def _address(client_id: str) -> Address | None:
    text = address_of(client_id)
    try:
        return None if text is None else parse_address(text)
    except ValueError:
        return None
