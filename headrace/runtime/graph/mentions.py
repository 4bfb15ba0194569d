"""The dotted names that an expression mentions, and those of them that exist."""

from collections.abc import Iterator, Mapping

from headrace.runtime.expression import Expression, Template

TRIGGER_FIELDS = ("event", "key", "headers", "timestamp", "topic", "partition", "offset", "stage")
RUN_FIELDS = ("id",)
FLOW_FIELDS = ("name", "version", "description", "tags")
FIELDS = {"trigger": TRIGGER_FIELDS, "run": RUN_FIELDS, "flow": FLOW_FIELDS}


def paths_of(part: Expression | Template) -> frozenset[str]:
    """What `part` asks of the names below `results`, `trigger`, `run`, `flow`, `env` and `secret`, as dotted paths.

    A root that is used as a whole is there without a dot.
    """
    names = _Recording(part)
    part.emit(names)
    return frozenset(names.asked)


def is_earlier(path: str) -> bool:
    """Whether a path is the value of an earlier stage, which has to be kept until it is mentioned."""
    return path == "trigger.event" or path.startswith("results.")


class _Recording(Mapping[str, str]):
    """Covers every root, and one level below the roots that have names of their own; notes what is asked for."""

    def __init__(self, part: Expression | Template) -> None:
        self.asked: set[str] = set()
        self._named = {
            "results": part.results,
            "env": part.env,
            "secret": part.secrets,
        }

    def __contains__(self, path: object) -> bool:
        root, _, name = str(path).partition(".")
        if root in FIELDS:
            return "." not in name
        return name in self._named[root] if root in self._named else not name

    def __getitem__(self, path: str) -> str:
        self.asked.add(path)
        return "event"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
