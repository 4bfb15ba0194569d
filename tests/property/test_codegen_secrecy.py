"""Whatever fails, the values of a record and the secrets of a flow stay out of the log."""

import json
import logging
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.running import running

MARK = "pAyL0ad"
SECRET = 's3cr3t"\\\n'
STAGES = (
    "action: filter, config: {where: event.a > 1}",
    "action: filter, config: {where: 'event.a.b.c and event.zzz'}",
    "action: filter, config: {field: a, pattern: x}",
    "action: map, config: {set: {x: 'int(event.a) + 1'}}",
    "action: map, config: {set: {x: 'event.b[event.a]'}}",
    "action: map, config: {value: '[1 / n for n in event.a]'}",
    "action: map, config: {value: '{event.a: 1}'}",
    "action: map, config: {value: 'parse_time(event.a)'}",
    "action: map, config: {value: 'f\"{event.a:d}\"'}",
    "action: map, config: {convert: {a: int}}",
    "action: map, config: {convert: {a: json}}",
    "action: map, config: {take: [a, zzz]}",
    "action: map, config: {each: event.a}",
    f"action: map, config: {{call: '{__name__}:fail', arguments: {{other: secret.S}}}}",
    "action: json_decode",
    "action: json_decode, config: {field: a}",
    "action: merge_data, config: {data: {x: '${event.a.b}'}}",
    "action: branch, config: {routes: [{when: event.a < 1, to: sink}]}",
    "action: publish, config: {topic: 'to-${event.a}'}",
    "action: publish, config: {topic: t, partition: event.a}",
    "action: publish, config: {topic: t, timestamp: event.a}",
    "action: publish, config: {topic: t, format: bytes}",
    "action: publish, config: {topic: t, headers: {h: '${event.a.b}'}}",
)
values = st.sampled_from([MARK, [MARK], {"b": MARK}, {MARK: 1}, None, 0, 7, 2**63, [0, MARK]])


def fail(event: Any, other: str) -> None:
    """A user's function that tells all it knows."""
    raise ValueError(f"{event} {other} {other!r} {json.dumps(other)}")


class Lines(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(STAGES), st.sampled_from(["dead_letter", "skip"]), values, st.booleans())
def test_no_value_of_a_record_and_no_secret_is_logged(
    stage: str, policy: str, value: object, creates: bool
) -> None:
    run = running(
        f"""
        name: flow
        stages:
          - {{name: in, action: kafka, config: {{topics: in}}, out: it}}
          - {{name: it, {stage}, on_error: {policy}, out: sink}}
          - {{name: sink, action: publish, config: {{topic: out}}}}
        """,
        topics=["in", "out", "t"],
        create_topics=creates,
        secrets={"S": SECRET},
    )
    lines = Lines()
    logger = logging.getLogger("headrace")
    logger.addHandler(lines)
    try:
        run.run({"a": value, "b": {"c": MARK}}, MARK, f'{{"a": {MARK}'.encode())
    finally:
        logger.removeHandler(lines)

    told = b"".join(text or b"" for one in run.dead_letters for text in one.headers.values())
    of_functions = "call:" in stage or "${event.a}" in stage
    assert not _values_in(lines.text)
    assert SECRET.strip() not in lines.text + told.decode()
    assert of_functions or not _values_in(told.decode())


def _values_in(text: str) -> bool:
    """Whether a value was told; names of fields may be."""
    return MARK in text.replace(f"it has {MARK}", "").replace(f"b, {MARK}", "")
