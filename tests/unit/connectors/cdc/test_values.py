from typing import Any

import orjson
import pytest

from headrace.connectors.cdc.postgres.values import (
    Conversion,
    TypeRow,
    copied_values,
    masked,
)

TYPES = {
    1007: TypeRow(1007, 0, 23, ","),  # int[]
    1009: TypeRow(1009, 0, 25, ","),  # text[]
    1020: TypeRow(1020, 0, 603, ";"),  # box[]
    90001: TypeRow(90001, 90002, 0, ","),  # a domain over a domain
    90002: TypeRow(90002, 23, 0, ","),
    23: TypeRow(23, 0, 0, ","),
}


def converted(oid: int, text: str, **options: Any) -> Any:
    convert = Conversion(**options).of(oid, TYPES)
    return orjson.loads(text.encode() if convert is None else convert(text.encode()))


@pytest.mark.parametrize(
    ("oid", "text", "value"),
    [
        (16, "t", True),
        (16, "f", False),
        (23, "-7", -7),
        (20, "9223372036854775807", 2**63 - 1),
        (701, "1e-07", 1e-07),
        (701, "NaN", "NaN"),
        (700, "-Infinity", "-Infinity"),
        (1700, "10.50", "10.50"),
        (1700, "NaN", "NaN"),
        (25, 'a "b"\n\\ é', 'a "b"\n\\ é'),
        (17, "\\x00ff10", "AP8Q"),
        (17, "\\x", ""),
        (1082, "2026-01-31", "2026-01-31"),
        (1082, "infinity", "infinity"),
        (1114, "2026-01-31 01:02:03.5", "2026-01-31T01:02:03.5"),
        (1114, "0044-03-15 12:00:00 BC", "0044-03-15 12:00:00 BC"),
        (1184, "2026-01-31 01:02:03+00", "2026-01-31T01:02:03Z"),
        (1184, "-infinity", "-infinity"),
        (1186, "P1DT2H", "P1DT2H"),
        (3802, '{"a": 1}', '{"a": 1}'),
        (2950, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (1007, "{1,NULL,3}", [1, None, 3]),
        (1007, "{}", []),
        (1007, "{{1,2},{3,4}}", [[1, 2], [3, 4]]),
        (1007, "[0:1]={5,6}", [5, 6]),
        (
            1009,
            '{a,"b,c","d\\"e",NULL,"NULL","",f g}',
            ["a", "b,c", 'd"e', None, "NULL", "", "f g"],
        ),
        (1020, "{(1,1),(0,0);(2,2),(1,1)}", ["(1,1),(0,0)", "(2,2),(1,1)"]),
        (90001, "12", 12),
        (99999, "of no known type", "of no known type"),
    ],
)
def test_a_value_is_json(oid: int, text: str, value: Any) -> None:
    assert converted(oid, text) == value


@pytest.mark.parametrize(
    ("oid", "text", "value", "options"),
    [
        (1700, "10.50", 10.5, {"decimal": "number"}),
        (1700, "Infinity", "Infinity", {"decimal": "number"}),
        (3802, '{"a": [1]}', {"a": [1]}, {"json_values": "value"}),
        (1082, "1970-01-03", 2, {"times": "epoch_ms"}),
        (1114, "1970-01-01 00:00:01.5", 1500, {"times": "epoch_ms"}),
        (1184, "1969-12-31 23:59:59+00", -1000, {"times": "epoch_ms"}),
        (1184, "infinity", "infinity", {"times": "epoch_ms"}),
    ],
)
def test_a_value_is_json_as_the_config_asks(
    oid: int, text: str, value: Any, options: dict[str, Any]
) -> None:
    assert converted(oid, text, **options) == value


def test_a_masked_value_tells_nothing() -> None:
    assert masked(b"secret") == b'"***"'


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (b"1\ta\n", [b"1", b"a"]),
        (b"1\t\\N\n", [b"1", None]),
        (b"a\\tb\t\\\\N\tc\\nd\n", [b"a\tb", b"\\N", b"c\nd"]),
        (b"\n", [b""]),
    ],
)
def test_a_line_of_copy_is_split_and_unescaped(line: bytes, values: list[bytes | None]) -> None:
    assert copied_values(line) == values
