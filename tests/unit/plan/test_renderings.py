"""What the renderings of a plan look like, against files that people have read."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.runtime.contracts.broker import TopicDescription
from headrace.runtime.flow import parse_flows
from headrace.runtime.graph import check_flow
from headrace.runtime.plan import Plan, build_plan
from headrace.runtime.plan.as_json import plan_document
from headrace.runtime.plan.dot import plan_dot
from headrace.runtime.plan.drawing import arrows, topic_ids
from headrace.runtime.plan.mermaid import plan_mermaid
from headrace.runtime.plan.text import plan_text

SNAPSHOTS = Path(__file__).with_name("snapshots")
ORDERS = """
name: orders
stages:
  - {name: arrivals, action: kafka, config: {topics: orders}, out: sort}
  - name: sort
    action: branch
    config: {routes: [{when: event.amount > 100, to: price}], otherwise: small}
  - {name: price, action: map, config: {set: {total: event.amount * 1.2}}, link: topic, on_error: mend, out: big}
  - {name: big, action: publish, config: {topic: big-orders}}
  - {name: small, action: publish, config: {topic: "small-${event.country}"}, on_error: skip}
  - {name: mend, action: publish, config: {topic: "mend"}}
"""
SHOP = """
name: shop
stages:
  - {name: orders, action: kafka, config: {topics: orders}, out: known}
  - {name: payments, action: kafka, config: {topics: payments}, out: both}
  - {name: known, action: hydrate, config: {table: users, into: user}, out: [named, both]}
  - name: named
    action: hydrate
    config: {table: countries, global: true, key: event.country, into: country}
    out: totals
  - name: totals
    action: reduce
    config:
      key: event.region
      window: {tumbling: 1m}
      aggregate: {n: count(), total: sum(event.amount)}
      emit: final
      late: {topic: late-orders}
    out: sink
  - name: both
    action: join
    renamed_from: pairs
    config: {left: known, right: payments, left_key: event.id, right_key: event.order, within: 1h, late: lost}
    out: sink
  - {name: lost, action: publish, config: {topic: lost}}
  - {name: sink, action: publish, config: {topic: results}}
"""
PEOPLE = """
name: people
stages:
  - {name: users, action: kafka, config: {topics: users}, out: with city}
  - {name: cities, action: kafka, config: {topics: cities}, out: with city}
  - name: with city
    action: join
    config: {left: users, right: cities, as: {left: table, right: table}, foreign_key: event.city}
    out: sink
  - {name: sink, action: publish, config: {topic: people}}
"""
FLOWS = {"orders": ORDERS, "shop": SHOP, "people": PEOPLE}
RENDERINGS: dict[str, Callable[[Plan], str]] = {
    ".txt": plan_text,
    ".dot": plan_dot,
    ".mmd": plan_mermaid,
    ".json": lambda plan: json.dumps(plan_document(plan), indent=2),
}


def plan_of(text: str) -> Plan:
    (flow,) = parse_flows(text)
    return build_plan(check_flow(flow))


@pytest.mark.parametrize("suffix", RENDERINGS)
@pytest.mark.parametrize("flow", FLOWS)
def test_a_rendering_is_the_one_that_was_checked_in(flow: str, suffix: str) -> None:
    rendered = RENDERINGS[suffix](plan_of(FLOWS[flow]))

    assert rendered + "\n" == (SNAPSHOTS / f"{flow}{suffix}").read_text("utf-8")


@pytest.mark.parametrize("suffix", RENDERINGS)
@pytest.mark.parametrize("flow", FLOWS)
def test_a_rendering_is_the_same_each_time(flow: str, suffix: str) -> None:
    render = RENDERINGS[suffix]

    assert render(plan_of(FLOWS[flow])) == render(plan_of(FLOWS[flow]))


@pytest.mark.parametrize("flow", FLOWS)
def test_every_topic_of_a_plan_has_an_arrow(flow: str) -> None:
    plan = plan_of(FLOWS[flow])

    drawn = {end for arrow in arrows(plan) for end in (arrow.start, arrow.end)}

    assert drawn.issuperset(topic_ids(plan))


def test_partitions_of_topics_on_the_cluster_are_told() -> None:
    plan = plan_of(ORDERS)
    topics = {"orders": TopicDescription(name="orders", partitions=12, replication_factor=1)}

    text = plan_text(plan, topics)
    document = plan_document(plan, topics)

    assert re.search(r"source +orders +12 partitions +starts runs", text)
    assert "missing; the topic's own, or as many as the sources have" in text
    exists = {topic["text"]: topic["exists"] for topic in document["topics"]}
    assert exists["orders"] is True
    assert exists["big-orders"] is False
    assert exists["small-${event.country}"] is None


def test_words_that_are_syntax_of_a_drawing_are_escaped() -> None:
    plan = plan_of(
        """
        name: 'the "best" \\ flow'
        stages:
          - {name: 'in "#1" <b>', action: kafka, config: {topics: orders}, out: out}
          - {name: out, action: publish, config: {topic: big}}
        """
    )

    assert 'digraph "the \\"best\\" \\\\ flow" {' in plan_dot(plan)
    assert 'label="in \\"#1\\" <b>\\nkafka\\norders"' in plan_dot(plan)
    assert 'stage_0["in #quot;#35;1#quot; #lt;b#gt;<br/>kafka<br/>orders"]' in plan_mermaid(plan)


def test_warnings_of_the_plan_are_in_its_text() -> None:
    plan = plan_of(
        """
        name: round
        stages:
          - {name: in, action: kafka, config: {topics: orders}, out: again}
          - {name: again, action: publish, config: {topic: orders}}
        """
    )

    assert "\nwarnings\n  stage 'again' writes to 'orders', which the flow also reads" in plan_text(
        plan
    )
    assert len(plan_document(plan)["warnings"]) == 1
