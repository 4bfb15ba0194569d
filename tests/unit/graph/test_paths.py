"""One report for the mistakes of documents and of their graphs."""

from pathlib import Path

import pytest

from headrace.runtime.errors import FlowError
from headrace.runtime.graph import check_paths

TEXT = """name: orders
stages:
  - name: in
    action: kafka
    config: {topic: orders}
    out: totals
  - name: total
    action: mapp
    config: {}
    ouput: [sink]
  - name: sink
    action: publish
    config: {topic: "a b", key: event.user.}
    out: nowhere
    buffer: many
"""


def test_a_mistyped_key_does_not_hide_the_mistakes_of_the_graph(tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text(TEXT)

    with pytest.raises(FlowError) as caught:
        check_paths([tmp_path])

    lines = [int(problem.place.rpartition(":")[2]) for problem in caught.value.problems]
    text = str(caught.value)
    assert lines == sorted(lines)
    for part in (
        "orders.yaml:5: stage 'in'",
        "orders.yaml:6: stage 'in' sends to 'totals', which does not exist; did you mean 'total'?",
        "orders.yaml:8: stage 'total' has the unknown action 'mapp'; did you mean 'map'?",
        "orders.yaml:10: stage 'total': unknown key 'ouput'; did you mean 'out'?",
        "orders.yaml:13: stage 'sink'",
        "orders.yaml:14: stage 'sink' sends to 'nowhere', which does not exist",
        "orders.yaml:15: stage 'sink': 'buffer'",
    ):
        assert part in text


def test_good_flows_beside_a_bad_one_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\nstages: 3\n")
    (tmp_path / "b.yaml").write_text("name: b\nstages: [{name: x, action: nope}]\n")

    with pytest.raises(FlowError) as caught:
        check_paths([tmp_path])

    assert "'stages' must be a list" in str(caught.value)
    assert "unknown action 'nope'" in str(caught.value)
