"""Where in a stage's config something stands, so that a problem has the line of its key."""

from collections.abc import Iterator, Mapping

from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.expression import Expression, Template
from headrace.runtime.flow.places import Path


def parts_of(value: object, path: Path = ()) -> Iterator[tuple[Path, Expression | Template]]:
    """Every expression and template in a config, with the keys that lead to it."""
    if isinstance(value, Expression | Template):
        yield path, value
    elif isinstance(value, ActionConfig):
        for name in type(value).model_fields:
            yield from parts_of(getattr(value, name), (*path, name))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from parts_of(item, (*path, name))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from parts_of(item, (*path, number))


def path_to(name: str, value: object) -> Path:
    """The keys that lead to a text in a config as it was written; empty when it is not there."""
    entries = (
        value.items()
        if isinstance(value, Mapping)
        else enumerate(value)
        if isinstance(value, list | tuple)
        else ()
    )
    for key, item in entries:
        if item == name:
            return (key,)
        if found := path_to(name, item):
            return (key, *found)
    return ()
