"""Functions that read and rebuild maps."""

from collections.abc import Sequence
from typing import Any, Final

from headrace.runtime.expression.functions.table import Function, function, refuse

_MISSING: Final = object()


def get(value: Any, path: Any, default: Any = None) -> Any:
    """The value at a path such as `"user.emails.0"`, or the default where a part of the path is not there or null."""
    found = _walk(value, _parts("get", path))
    return default if found is _MISSING else found


def get_at(value: Any, parts: tuple[str, ...], default: Any = None) -> Any:
    """`get` with a path that was split when the flow was compiled."""
    found = value
    for part in parts:
        if type(found) is not dict:
            break
        found = found.get(part, _MISSING)
    else:
        return default if found is _MISSING else found
    found = _walk(value, parts)  # a list on the way, or nothing
    return default if found is _MISSING else found


def has(value: Any, path: Any) -> bool:
    """Whether there is something at a path, be it null."""
    return _walk(value, _parts("has", path)) is not _MISSING


def has_at(value: Any, parts: tuple[str, ...]) -> bool:
    """`has` with a path that was split when the flow was compiled."""
    return _walk(value, parts) is not _MISSING


def maybe(value: Any, field: str) -> Any:
    """`value?.field`: null when the value is null or has no such field."""
    if value is None:
        return None
    if type(value) is not dict:
        raise refuse("?.", "a map or null on its left", value)
    return value.get(field)


def coalesce(*values: Any) -> Any:
    """The first value that is not null."""
    return next((value for value in values if value is not None), None)


def merge(*maps: Any) -> dict[Any, Any]:
    """One map with the fields of all; the later ones win, and maps inside are not merged."""
    merged: dict[Any, Any] = {}
    for fields in maps:
        merged.update(_map("merge", fields))
    return merged


def pick(fields: Any, *names: Any) -> dict[Any, Any]:
    """The named fields of a map, as far as it has them."""
    wanted = _names(names)
    source = _map("pick", fields)
    return {name: source[name] for name in wanted if name in source}


def omit(fields: Any, *names: Any) -> dict[Any, Any]:
    """A map without the named fields."""
    unwanted = set(_names(names))
    return {name: value for name, value in _map("omit", fields).items() if name not in unwanted}


def keys(fields: Any) -> list[Any]:
    """The names of a map's fields."""
    return list(_map("keys", fields))


def values(fields: Any) -> list[Any]:
    """The values of a map's fields."""
    return list(_map("values", fields).values())


def items(fields: Any) -> list[list[Any]]:
    """A map as a list of [name, value]."""
    return [[name, value] for name, value in _map("items", fields).items()]


def _walk(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        if type(value) is dict:
            value = value.get(part, _MISSING)
        elif type(value) is list and part.isdecimal() and len(part) < 10:
            index = int(part)
            value = value[index] if index < len(value) else _MISSING
        else:
            return _MISSING
        if value is _MISSING:
            return _MISSING
    return value


def _parts(name: str, path: Any) -> list[str]:
    if type(path) is str:
        return path.split(".")
    if type(path) is list:
        return [str(part) for part in path]
    raise refuse(name, 'a path such as "a.b"', path)


def _map(name: str, value: Any) -> dict[Any, Any]:
    if type(value) is not dict:
        raise refuse(name, "a map", value)
    return value


def _names(names: Sequence[Any]) -> list[Any]:
    flat: list[Any] = []
    for name in names:
        if type(name) is list:
            flat.extend(name)
        else:
            flat.append(name)
    return flat


FUNCTIONS: Final[tuple[Function, ...]] = (
    function("get", get),
    function("has", has, "boolean"),
    function("coalesce", coalesce),
    function("merge", merge, "map"),
    function("pick", pick, "map"),
    function("omit", omit, "map"),
    function("keys", keys, "list"),
    function("values", values, "list"),
    function("items", items, "list"),
)
