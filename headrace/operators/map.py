"""`map`: makes a new event out of an event, or many."""

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field

from headrace.operators.conversion import CONVERSIONS, TypeName
from headrace.operators.python_function import copied, load_function
from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction
from headrace.runtime.errors import RecordError, SettingsError
from headrace.runtime.expression import Expression, ExtraNames
from headrace.runtime.expression.errors import described

ItemExpression = Annotated[Expression, ExtraNames("item", "index")]


class MapConfig(ActionConfig):
    """`value` or `call` makes a new event; `take`, `drop`, `rename`, `convert` and `set` change its fields."""

    each: Expression | None = Field(
        None,
        description="a list: the stage runs once per item, named `item` (and `index`), which is what it changes",
    )
    value: ItemExpression | None = Field(None, description="one expression that is the new event")
    call: str | None = Field(
        None,
        description="a Python function, as `package.module:function`; it gets the event and returns the new one",
    )
    arguments: dict[str, ItemExpression] = Field(
        default_factory=dict, description="further keyword arguments of the called function"
    )
    take: list[str] | None = Field(
        None, description="keep only these fields (and those renamed or converted)"
    )
    drop: list[str] = Field(default_factory=list, description="leave these fields out")
    rename: dict[str, str] = Field(default_factory=dict, description="old name to new name")
    convert: dict[str, TypeName] = Field(
        default_factory=dict,
        description="field (by its old name) to type: int, float, string, bool, json",
    )
    set: dict[str, ItemExpression] = Field(
        default_factory=dict,
        description="field to expression; every expression sees the event as it came in",
    )


class Map(InlineAction):
    """Changes events."""

    Config = MapConfig
    config: MapConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        if config.value is not None and config.call is not None:
            yield "has both 'value' and 'call'; keep one"
        if config.arguments and config.call is None:
            yield "has 'arguments' but no 'call' to give them to"
        if config.take is not None and config.drop:
            yield "has both 'take' and 'drop'; 'take' alone says what stays"
        if config.each is None:
            for part in config.parts():
                for name in sorted(part.reads & {"item", "index"}):
                    yield f"mentions '{name}', which there is only with 'each'"
        if config.call is not None:
            try:
                load_function(config.call)
            except SettingsError as error:
                yield f"call: {error}"

    def summary(self) -> str:
        config = self.config
        words = [f"each {config.each.text}"] if config.each else []
        if config.value is not None:
            words.append(config.value.text)
        if config.call is not None:
            words.append(f"call {config.call}")
        for verb, names in (
            ("take", config.take or ()),
            ("drop", config.drop),
            ("rename", config.rename),
            ("convert", config.convert),
            ("set", config.set),
        ):
            if names:
                words.append(f"{verb} {', '.join(names)}")
        return "; ".join(words)

    def emit(self, code: Code) -> None:
        if self.config.each is None:
            self._change(code, code.event, {}, is_owned=code.is_owned)
            return
        items = code.variable("items")
        item = code.variable("item", "item")
        index = code.variable("index", "index")
        check = code.constant(list_of, "list_of")
        code.line(f"{items} = {check}({code.expression(self.config.each)})")
        with code.forward_each(f"enumerate({items})", f"{index}, {item}"):
            self._change(code, item, {"item": item, "index": index}, is_owned=False)

    def _change(self, code: Code, event: str, names: dict[str, str], *, is_owned: bool) -> None:
        """Write the change of one event (`event` is the variable that holds it) and forward the result."""
        config = self.config
        sets = [(field, code.expression(part, names)) for field, part in config.set.items()]
        is_made = config.value is not None or config.call is not None
        if is_made:
            made = code.variable("event")
            source = self._made(code, event, names)
            code.line(f"{made} = {source}")
            event, is_owned = made, config.call is None and is_fresh(source)
        changes_fields = config.take is not None or config.drop or config.rename or config.convert
        if changes_fields:
            event = self._fields(code, event, sets)
        elif sets and is_owned and not is_made and not self._holds_event():
            self._set_in_place(code, event, sets)
        elif sets:
            merged = code.variable("event")
            pairs = ", ".join(f"{field!r}: {source}" for field, source in sets)
            code.line(f"{merged} = {{**{event}, {pairs}}}")
            event = merged
        is_object = bool(changes_fields or sets)
        is_unchanged = event == code.event and not is_object
        code.forward(
            event,
            is_owned=is_object or (is_made and is_owned),
            is_object=is_object,
            is_unchanged=is_unchanged,
        )

    def _made(self, code: Code, event: str, names: dict[str, str]) -> str:
        if self.config.value is not None:
            return code.expression(self.config.value, names)
        assert self.config.call is not None
        function: Callable[..., Any] = load_function(self.config.call)
        given = {"": event}
        given |= {
            f"{name}=": code.expression(part, names) for name, part in self.config.arguments.items()
        }
        if not code.is_alone:  # the function may do with its arguments what it likes
            copy = code.constant(copied, "copied")
            given = {name: f"{copy}({source})" for name, source in given.items()}
        return f"{code.constant(function, 'call')}({', '.join(n + s for n, s in given.items())})"

    def _holds_event(self) -> bool:
        """Whether a field is set to the event itself, which set in place would then hold itself."""
        return any(part.event_fields is None for part in self.config.set.values())

    def _set_in_place(self, code: Code, event: str, sets: Sequence[tuple[str, str]]) -> None:
        if len(sets) == 1:
            code.line(f"{event}[{sets[0][0]!r}] = {sets[0][1]}")
            return
        values = [(field, code.variable("field"), source) for field, source in sets]
        for _, value, source in values:
            code.line(f"{value} = {source}")
        for field, value, _ in values:
            code.line(f"{event}[{field!r}] = {value}")

    def _fields(self, code: Code, event: str, sets: Sequence[tuple[str, str]]) -> str:
        """Write the new object for take, drop, rename and convert; returns its variable."""
        config = self.config
        changed: dict[str, str] = {}
        for field in (*config.rename, *config.convert):
            source = f"{event}[{field!r}]"
            if field in config.convert:
                convert = code.constant(
                    CONVERSIONS[config.convert[field]], f"to_{config.convert[field]}"
                )
                source = f"{convert}({source})"
            changed[config.rename.get(field, field)] = source
        result = code.variable("event")
        if config.take is not None:
            kept = {name: f"{event}[{name!r}]" for name in config.take if name not in config.rename}
            pairs = {**kept, **changed, **dict(sets)}
            code.line(f"{result} = {{{', '.join(f'{k!r}: {v}' for k, v in pairs.items())}}}")
            return result
        pairs = {**changed, **dict(sets)}
        code.line(f"{result} = {{**{event}}}")
        gone = [*config.drop, *config.rename]
        for name in gone:
            code.line(f"{result}.pop({name!r}, None)")
        for name, source in pairs.items():
            code.line(f"{result}[{name!r}] = {source}")
        return result


def is_fresh(source: str) -> bool:
    """Whether emitted source makes an object of its own, which nobody else can see."""
    return isinstance(ast.parse(source, mode="eval").body, ast.Dict | ast.DictComp)


def list_of(value: Any) -> list[Any]:
    """The list that `each` goes through."""
    if isinstance(value, list | tuple):
        return list(value)
    raise RecordError(
        f"each needs a list, found {described(value)}; wrap a single value as [value]"
    )
