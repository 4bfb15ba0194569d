"""The names that an expression of a stage may mention, checked against the graph."""

from collections.abc import Iterator

from headrace.runtime.expression import Expression, Template
from headrace.runtime.flow import did_you_mean
from headrace.runtime.graph.mentions import FIELDS, paths_of
from headrace.runtime.graph.model import Graph, Node


def unknown_names(graph: Graph, node: Node, part: Expression | Template) -> Iterator[str]:
    """What this part of a stage's config mentions and cannot have, in plain words."""
    for name in sorted(part.results):
        if name not in graph.by_name:
            yield f": results.{name}: there is no stage '{name}'{did_you_mean(name, graph.by_name)}"
        elif name not in graph.ancestors[node.name]:
            yield f": results.{name}: stage '{name}' does not come before '{node.name}'"
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
