"""Where `hydrate` looks besides tables: found by name through the entry-point group `headrace.lookups`.

The name is the field of `hydrate`'s config that holds the lookup's own config. The engine batches, tries again and so on;
`hydrate` asks for each thing once, remembers answers, and puts what is found into events.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.contracts.call import Opening, Outside


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `arguments` has a value for each name of `Lookup.arguments`; `id` is the same for equal questions."""

    key: Any
    arguments: Mapping[str, Any]
    id: str


Answer = Any
"""What was found, None where there is nothing, or a `CallFailedError` where asking failed."""


class Finder(ABC):
    """Looks things up for one stage in one member; holds its connections. All methods run in one event loop."""

    @abstractmethod
    async def find(self, questions: Sequence[Question]) -> Sequence[Answer]:
        """The answers to different questions, in their order. What it raises is the answer to all of them."""

    async def close(self) -> None:  # noqa: B027 # some have nothing to do
        """Let go of everything. May be called again."""


class Lookup(Outside, ABC):
    """A place to look. Made when a flow is checked; immutable; holds no connection."""

    Config: ClassVar[type[ActionConfig]]
    description: ClassVar[str]
    """Of the field of `hydrate`'s config, for the reference."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def problems(self) -> Iterable[str]:
        """What is wrong with the config beyond its types, in plain words."""
        return ()

    @abstractmethod
    def summary(self) -> str:
        """Where it looks, in a few words; holds no value of a secret."""

    @property
    def is_keyed(self) -> bool:
        """Whether `Question.key` is what is looked for. Otherwise the arguments say it all, and there is no key."""
        return True

    @abstractmethod
    def finder(self, opening: Opening) -> Finder:
        """A finder for this stage. Nothing is connected yet.

        Raises:
            SettingsError: an extra is missing, or a setting is wrong.
        """
