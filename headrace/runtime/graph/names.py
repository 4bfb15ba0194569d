"""The names that an expression of a stage may mention, checked against the graph."""

from collections.abc import Collection, Iterator

from headrace.runtime.expression import Expression, Template
from headrace.runtime.flow import did_you_mean
from headrace.runtime.graph.mentions import FIELDS, paths_of


def unknown_names(
    part: Expression | Template, stage: str, stages: Collection[str], before: Collection[str]
) -> Iterator[str]:
    """What a part of a stage's config mentions and cannot have, in plain words; `before` are the stages it comes after."""
    for name in sorted(part.results):
        if name not in stages:
            yield f": results.{name}: there is no stage '{name}'{did_you_mean(name, stages)}"
        elif name not in before:
            yield f": results.{name}: stage '{name}' does not come before '{stage}'"
    for path in sorted(paths_of(part)):
        root, _, name = path.partition(".")
        fields = FIELDS.get(root, ())
        if not fields or name in fields:
            continue
        known = ", ".join(f"{root}.{field}" for field in fields)
        if name:
            yield f": '{path}' is unknown{did_you_mean(name, fields)}; there are {known}"
        else:
            yield f": '{root}' is used as a whole; name one of its fields: {known}"
