"""What pydantic found wrong, in the words of this project.

Serves every model that people fill in by hand: the flow document here, and the configurations of
actions, whose checker adds the stage's name and its path.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from headrace.runtime.flow.places import Path
from headrace.runtime.flow.suggestion import did_you_mean, found, nearest

_TYPES: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOUNDS: Final = {
    "greater_than": ("more than {}", "gt"),
    "greater_than_equal": ("at least {}", "ge"),
    "less_than": ("less than {}", "lt"),
    "less_than_equal": ("at most {}", "le"),
    "multiple_of": ("a multiple of {}", "multiple_of"),
}
_LENGTHS: Final = {
    "too_short": ("at least {} entries", "min_length"),
    "too_long": ("at most {} entries", "max_length"),
    "string_too_short": ("at least {} characters", "min_length"),
    "string_too_long": ("at most {} characters", "max_length"),
}
_CHOICES: Final = {"literal_error", "enum"}


class Finding(NamedTuple):
    """One thing wrong: the path to it within what was validated, and the message."""

    path: Path
    text: str


def describe_validation(
    error: ValidationError,
    model: type[BaseModel],
    data: Any = None,
    *,
    named: Callable[[Path], int] = lambda _: 0,
    beside: Collection[str] = (),
) -> list[Finding]:
    """Everything that validating `data` as `model` found; give the data wherever it is at hand.

    Without it the path of a field that is a union also holds pydantic's name of the case.

    Messages name a part by its path, such as `'retry.attempts'`, without as many first steps as
    `named` says that the caller names in its own way. They quote no text of the document but keys,
    durations and the values of fields that have a fixed choice of them.
    `beside` has the keys of the stage whose `config` this is: one of them in here is one level too deep.
    """
    details = [(dict(detail), _path(detail["loc"], data)) for detail in error.errors()]
    unknown: dict[Path, list[str]] = {}
    for detail, path in details:
        if detail["type"] == "extra_forbidden" and not _is_beside(path, beside):
            unknown.setdefault(path[:-1], []).append(str(path[-1]))
    return [
        Finding(path, f"unknown key {path[-1]!r}: it belongs to the stage, beside 'config'")
        if detail["type"] == "extra_forbidden" and _is_beside(path, beside)
        else Finding(path, _text(detail, path, data, model, named(path)))
        for detail, path in details
        if not (detail["type"] == "missing" and _is_mistyped(path, unknown))
    ]


def _is_beside(path: Path, beside: Collection[str]) -> bool:
    return len(path) == 1 and str(path[0]).replace("-", "_") in beside


def _is_mistyped(path: Path, unknown: dict[Path, list[str]]) -> bool:
    """Whether a missing key is there in another spelling, of which its own message tells."""
    return nearest(str(path[-1]), unknown.get(path[:-1], ())) is not None


def _path(location: tuple[str | int, ...], data: Any) -> Path:
    """The location without what pydantic puts into it that is not in the data: names of cases."""
    if data is None:
        return location
    path: list[str | int] = []
    for position, step in enumerate(location):
        is_last = position == len(location) - 1
        if isinstance(data, Mapping) and (step in data or is_last):
            path.append(step)
            data = data.get(step)
        elif isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
            path.append(step)
            data = data[step]
    return tuple(path)


def _text(detail: dict[str, Any], path: Path, data: Any, model: type[BaseModel], skip: int) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    subject = f"'{dotted(path[skip:])}'"
    if kind == "extra_forbidden":
        return _unknown_key(path, data, model, skip)
    if kind == "missing":
        return f"{subject} is missing"
    if kind in _TYPES:
        of_what = _parts(path, model) if _TYPES[kind] == "a list" else ""
        return (
            f"{subject} must be {_TYPES[kind]}{of_what}, found {found(value)}{_hint(kind, value)}"
        )
    if kind in _BOUNDS:
        rule, key = _BOUNDS[kind]
        return f"{subject} must be {rule.format(context[key])}, found {found(value)}"
    if kind in _LENGTHS:
        rule, key = _LENGTHS[kind]
        return f"{subject} must have {rule.format(context[key])}"
    if kind in _CHOICES:
        return _choice(subject, context["expected"], value)
    if kind == "union_tag_not_found":
        return f"{subject} needs {context['discriminator']}, which says what kind it is"
    if kind == "union_tag_invalid":
        name = context["discriminator"].strip("'")
        return _choice(f"'{dotted(path[skip:])}.{name}'", context["expected_tags"], context["tag"])
    message = str(context["error"]) if kind in {"value_error", "assertion_error"} else detail["msg"]
    if message.startswith("must "):
        return f"{subject} {message}{_found_unless_text(value)}"
    return f"{subject}: {message[:1].lower()}{message[1:]}"


def _unknown_key(path: Path, data: Any, model: type[BaseModel], skip: int) -> str:
    key, parent = str(path[-1]), path[:-1]
    known = sorted({name for part in models_at(parent, model) for name in _keys(part)})
    present = data or {}
    for step in parent if data is not None else ():
        present = present[step]
    missing = [name for name in known if name not in present]
    suggestion = did_you_mean(key, missing) or did_you_mean(key, known)
    if not suggestion and known:
        suggestion = f"; known keys are {', '.join(known)}"
    where = f" in '{dotted(parent[skip:])}'" if parent[skip:] else ""
    return f"unknown key {key!r}{where}{suggestion}"


def _choice(subject: str, expected: str, value: Any) -> str:
    names = [name.strip().strip("'") for name in expected.replace(" or ", ", ").split(",")]
    meant = did_you_mean(value, names) if isinstance(value, str) else ""
    shown = repr(value[:40]) if isinstance(value, str) else found(value)
    return f"{subject} must be {expected}, found {shown}{meant}"


def _hint(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "; put it in quotes"
    return ""


def _found_unless_text(value: Any) -> str:
    return "" if isinstance(value, str) or not value else f", found {found(value)}"


def _parts(path: Path, model: type[BaseModel]) -> str:
    names = {part.__name__.lower() + "s" for part in models_at(path, model)}
    return f" of {names.pop()}" if len(names) == 1 else ""


def dotted(path: Path) -> str:
    """A path as people write it: `config.routes[0].when`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def models_at(path: Path, model: type[BaseModel]) -> list[type[BaseModel]]:
    """The models that may stand at a path below a model; several where a field is a union."""
    models = [model]
    for step in path:
        if isinstance(step, str):
            models = [
                inner
                for part in models
                for name, field in part.model_fields.items()
                if step in {name, field.alias}
                for inner in _models_in(field.annotation)
            ]
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name
