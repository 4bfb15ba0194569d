"""The Python way to write a flow. What it builds equals the flow of the same document in YAML."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from headrace.runtime import dialects
from headrace.runtime.errors import FlowError, Problem
from headrace.runtime.flow.explanation import Finding, dotted
from headrace.runtime.flow.model import Flow, Policies
from headrace.runtime.flow.places import Path, Places
from headrace.runtime.flow.plain import plain

_POLICIES: Final = frozenset(
    {
        "on_error",
        "retry",
        "timeout",
        "buffer",
        "breaker",
        "rate_limit",
        "compensate",
        "link",
        "renamed_from",
    }
)
"""Keyword arguments of an action's method that belong to the stage, not to its configuration."""

AddStage = Callable[..., "Handle"]
"""`add(name, *, config=None, **policies_and_fields)`, the method that every action has."""


def flow(
    name: str,
    *,
    description: str | None = None,
    tags: Iterable[str] = (),
    version: str | int | None = None,
    enabled: bool = True,
    group: str | None = None,
    defaults: Policies | Mapping[str, Any] | None = None,
    input: Mapping[str, Any] | None = None,  # noqa: A002 - the document's word
) -> "Builder":
    """Begin a flow; the arguments are the keys of the document.

    ::

        orders = flow("orders")
        source = orders.kafka("orders in", topics=["orders"])
        big = source.filter("big", where="event.amount > 100")
        big.publish("sink", topic="big-orders")
        orders.build()
    """
    data = {
        "name": name,
        "description": description,
        "tags": tuple(tags),
        "version": version,
        "enabled": enabled,
        "group": group,
        "defaults": Policies() if defaults is None else defaults,
        "input": input,
    }
    return Builder(data)


class Builder:
    """A flow under construction. Mutable and not thread-safe; `build` may be called at any time.

    Any action is a method that adds a stage without inputs, which is a trigger or waits for
    `Handle.to`: `orders.kafka("orders in", topics=["orders"])`. Keyword arguments are fields of
    the action, but `on_error`, `retry`, `timeout`, `buffer`, `breaker`, `rate_limit`, `compensate`, `link` and
    `renamed_from` belong to the stage; fields of an action that have one of these names, or that Python cannot write,
    go into `config={...}`.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = dict(data)
        self._stages: list[dict[str, Any]] = []

    def stage(
        self,
        name: str,
        action: str,
        config: Mapping[str, Any] | None = None,
        /,
        **policies: Any,
    ) -> "Handle":
        """Add a stage without inputs, of an action with any name.

        Raises:
            TypeError: a keyword argument is not a policy.
        """
        if unknown := sorted(policies.keys() - _POLICIES):
            raise TypeError(
                f"{unknown[0]!r} is not a policy ({', '.join(sorted(_POLICIES))}); "
                "fields of the action go into the config"
            )
        stage = {"name": name, "action": action, "config": dict(config or {}), "out": []}
        stage |= {key: _named(value) for key, value in policies.items() if value is not None}
        self._stages.append(stage)
        return Handle(self, stage)

    def build(self) -> Flow:
        """The flow as it stands now; that its stages fit together is checked by the graph.

        Raises:
            FlowError: everything that is wrong with its keys and values.
        """
        findings: list[Finding] = []
        data = {**self._data, "input": plain(self._data["input"], ("input",), findings)}
        data["stages"] = [
            {**stage, "config": plain(_named(stage["config"]), ("stages", i, "config"), findings)}
            for i, stage in enumerate(self._stages)
        ]
        problems = [Problem("", self._described(path, text)) for path, text in findings]
        built = dialects.read(data, Places())
        if isinstance(built, list):
            problems += [Problem("", mistake.text) for mistake in built]
        elif not problems:
            return built
        raise FlowError(problems)

    def _described(self, path: Path, text: str) -> str:
        if path[0] != "stages":
            return f"flow {self._data['name']!r}: '{dotted(path)}' {text}"
        return f"stage {self._stages[int(path[1])]['name']!r}: '{dotted(path[2:])}' {text}"

    def __getattr__(self, action: str) -> AddStage:
        if action.startswith("_"):
            raise AttributeError(action)
        return _method(action, self.stage)


class Handle:
    """A stage of a flow under construction, to hang further stages on.

    Any action is a method that adds a stage after this one, with the arguments of `Builder`'s.
    """

    def __init__(self, builder: Builder, stage: dict[str, Any]) -> None:
        self._builder = builder
        self._stage = stage

    @property
    def name(self) -> str:
        """The name of the stage."""
        return str(self._stage["name"])

    def then(
        self,
        name: str,
        action: str,
        config: Mapping[str, Any] | None = None,
        /,
        **policies: Any,
    ) -> "Handle":
        """Add a stage after this one, of an action with any name."""
        return self.to(self._builder.stage(name, action, config, **policies))

    def to(self, target: "Handle") -> "Handle":
        """Send this stage's output to a stage that is there already too; returns that stage.

        Raises:
            FlowError: the stages belong to different flows.
        """
        if target._builder is not self._builder:  # noqa: SLF001 - the same class
            text = (
                f"stage {self.name!r} cannot send to {target.name!r} of another flow; "
                "publish to a topic that the other flow reads"
            )
            raise FlowError([Problem("", text)])
        if target.name not in self._stage["out"]:
            self._stage["out"].append(target.name)
        return target

    def __getattr__(self, action: str) -> AddStage:
        if action.startswith("_"):
            raise AttributeError(action)
        return _method(action, self.then)


class Merged:
    """Several stages of one flow whose outputs go to the same next stage."""

    def __init__(self, handles: tuple[Handle, ...]) -> None:
        self._handles = handles

    def then(
        self,
        name: str,
        action: str,
        config: Mapping[str, Any] | None = None,
        /,
        **policies: Any,
    ) -> Handle:
        """Add a stage after all of these, of an action with any name."""
        return self.to(self._handles[0].then(name, action, config, **policies))

    def to(self, target: Handle) -> Handle:
        """Send the outputs of all of these to a stage that is there already; returns that stage."""
        for handle in self._handles:
            handle.to(target)
        return target

    def __getattr__(self, action: str) -> AddStage:
        if action.startswith("_"):
            raise AttributeError(action)
        return _method(action, self.then)


def merge(first: Handle, *others: Handle) -> Merged:
    """Several stages as one, to hang a common next stage on: `merge(a, b).publish("sink", ...)`."""
    return Merged((first, *others))


def _method(action: str, add: AddStage) -> AddStage:
    def method(name: str, /, *, config: Mapping[str, Any] | None = None, **fields: Any) -> Handle:
        policies = {key: fields.pop(key) for key in _POLICIES & fields.keys()}
        if twice := sorted(fields.keys() & (config or {}).keys()):
            raise TypeError(f"{twice[0]!r} is given both as an argument and in the config")
        return add(name, action, {**(config or {}), **fields}, **policies)

    method.__name__ = action
    return method


def _named(value: Any) -> Any:
    """A copy of a value in which the names of stages stand for their handles."""
    if isinstance(value, Handle):
        return value.name
    if isinstance(value, dict):
        return {key: _named(entry) for key, entry in value.items()}
    return [_named(item) for item in value] if isinstance(value, list | tuple) else value
