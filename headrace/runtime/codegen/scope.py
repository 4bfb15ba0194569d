"""What the generated code has at hand at one point of one path: variables and what is known about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Scope:
    """The variables of one path. Immutable: a path that learns something goes on with a changed copy.

    `raw` is the source of the bytes that the event was decoded from, while it is still unchanged; `key`, `headers`,
    `timestamp` and `run_id` are set once a line computed them; `is_key_set` and `is_timestamp_set` tell that the
    trigger replaced the record's own. An event that is `is_owned` may be changed in place; where `is_shared` is set, objects
    nested in it may still be seen by others, for the rest of the path. `results` maps stages (and `trigger.event`)
    to variables. `message_key` is the source of the record's own key; behind a window there are no headers.
    """

    event: str = "event"
    is_owned: bool = True
    is_shared: bool = False
    is_object: bool = False
    raw: str | None = None
    raw_format: str = "json"
    key: str | None = None
    is_key_set: bool = False
    headers: str | None = None
    timestamp: str | None = None
    is_timestamp_set: bool = False
    run_id: str | None = None
    origin: str | None = None
    message_key: str = "message.key()"
    has_headers: bool = True
    results: Mapping[str, str] = field(default_factory=dict)

    def with_result(self, name: str, variable: str) -> "Scope":
        return self.shared(results={**self.results, name: variable})

    def shared(self, **changes: Any) -> "Scope":
        """This scope where somebody else looks at the event too."""
        return replace(self, is_owned=False, is_shared=True, **changes)
