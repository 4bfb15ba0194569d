"""Generated code gives what the plainest interpreter of the graph gives."""

import json
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings

from headrace.runtime.flow import Flow
from tests.property.graph_interpreter import Interpreter, flows, records
from tests.unit.running import running


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(flows(), records)
def test_generated_code_and_a_plain_interpreter_agree(
    document: dict[str, Any], fed: list[tuple[Any, str | None]]
) -> None:
    run = running(Flow.model_validate(document))
    plain = Interpreter(document)

    for event, key in fed:
        run.feed(event, key=key)
        plain.feed(event, key)
    run.drain()

    topics = run.broker.admin().topics()
    written = Counter(
        json.dumps([one.data, one.key.decode() if one.key else None], sort_keys=True)
        for one in (run.read("out") if "out" in topics else [])
    )
    failed = Counter((one.headers["headrace-stage"] or b"").decode() for one in run.dead_letters)
    assert (written, failed) == (plain.written, plain.failed)
    assert run.member.statistics.aborts == 0
