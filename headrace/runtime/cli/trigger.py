"""`headrace trigger`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.one_flow import flow_argument
from headrace.runtime.cli.options import (
    DurationType,
    common_options,
    settings_of,
    settings_options,
)

if TYPE_CHECKING:
    from headrace.runtime.contracts.action import Source, TriggerAction
    from headrace.runtime.contracts.broker import Admin, Broker, Headers, TopicPartition
    from headrace.runtime.graph import Node
    from headrace.runtime.plan import Plan
    from headrace.runtime.settings import WorkerSettings

LOOK_S = 0.2
WRITE_TIMEOUT_S = 30.0
FORMATS = ("json", "text", "bytes")


@dataclass(frozen=True)
class Asked:
    """The record that asks for a run."""

    topic: str
    value: bytes | None
    key: str | None
    headers: "Headers"


@click.command(
    cls=Command,
    examples=[
        'headrace trigger flows/daily.yaml --data \'{"day": "2026-01-31"}\'',
        "headrace trigger orders --flows flows/ --stage arrivals --data @order.json --key user-17 --wait",
    ],
)
@flow_argument
@click.option("--stage", help="The trigger, where the flow has several and none is `manual`.")
@click.option("--topic", help="The topic, where the trigger reads several.")
@click.option(
    "--data",
    default="{}",
    show_default=True,
    metavar="JSON|@FILE",
    help="The event; @FILE reads it from a file, @- from standard input.",
)
@click.option("--key", help="The record's key.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header.")
@click.option("--wait", is_flag=True, help="Return when the flow has committed the record.")
@click.option(
    "--timeout",
    type=DurationType(),
    default="30s",
    show_default=True,
    help="With --wait, how long at most.",
)
@settings_options
@common_options
def trigger(
    flow: str,
    flows: tuple[str, ...],
    stage: str | None,
    topic: str | None,
    data: str,
    key: str | None,
    headers: tuple[str, ...],
    wait: bool,
    timeout: timedelta,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Start a run of FLOW, which is a document or, with --flows, a name.

    Writes a record to the topic that the trigger reads; whoever else reads this topic sees the record, too. What does not meet
    the flow's `input` is refused here. With --wait the run has gone as far as the first topic between stages, if there is any.
    """
    from headrace.runtime import brokers as connecting
    from headrace.runtime.cli.given_value import bytes_of
    from headrace.runtime.cli.one_flow import plan_of_flow
    from headrace.runtime.cli.output import print_json

    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    plan = plan_of_flow(flow, flows, settings.prefix)
    node, source = _trigger_of(plan, stage)
    asked = Asked(_topic_of(source, topic), bytes_of(data), key, _headers(headers))
    _check(plan, source, asked)
    broker = connecting.connect(settings.engine, settings.brokers, settings.client)
    admin = broker.admin()
    try:
        _ensure_topic(admin, node, asked.topic, settings)
        where, offset = _write(broker, asked, settings)
        if wait:
            _await(admin, plan.group, where, offset, timeout)
    finally:
        admin.close()
    run = f"{where.topic}-{where.partition}-{offset}"
    if as_json:
        print_json(
            {"run": run, "topic": where.topic, "partition": where.partition, "offset": offset}
        )
    else:
        click.echo(f"run {run} of flow '{plan.name}'{' is committed' if wait else ' is asked for'}")


def _trigger_of(plan: "Plan", stage: str | None) -> "tuple[Node, Source]":
    """The trigger that is meant: the one named, the only one, or the only manual one."""
    from headrace.runtime.contracts.action import TriggerAction
    from headrace.runtime.flow import did_you_mean

    triggers = list(plan.graph.triggers)
    names = [node.name for node in triggers]
    if stage is not None:
        found = [node for node in triggers if node.name == stage]
        if not found:
            hint = did_you_mean(stage, names) or f"; there are {', '.join(names)}"
            raise click.UsageError(f"flow '{plan.name}' has no trigger '{stage}'{hint}")
    elif len(triggers) == 1:
        found = triggers
    else:
        found = [node for node in triggers if node.stage.action == "manual"]
    if len(found) != 1:
        raise click.UsageError(
            f"flow '{plan.name}' has several triggers: {', '.join(names)}; name one with --stage"
        )
    action = found[0].action
    assert isinstance(action, TriggerAction)
    return found[0], action.source()


def _topic_of(source: "Source", topic: str | None) -> str:
    import re2

    if topic is None:
        if len(source.topics) == 1:
            return source.topics[0]
        which = ", ".join(source.topics) or f"those that match {source.pattern}"
        raise click.UsageError(f"the trigger reads several topics: {which}; name one with --topic")
    if topic in source.topics or (source.pattern and re2.fullmatch(source.pattern, topic)):
        return topic
    raise click.UsageError(
        f"the trigger does not read '{topic}'; it reads {', '.join(source.topics) or f'what matches {source.pattern}'}"
    )


def _headers(given: tuple[str, ...]) -> "Headers":
    found: Headers = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--header {text!r} must be NAME=VALUE")
        found.append((name, value.encode()))
    return found


def _check(plan: "Plan", source: "Source", asked: Asked) -> None:
    """Refuse what the flow would refuse."""
    from headrace.runtime.cli.given_value import json_of
    from headrace.runtime.errors import RecordError
    from headrace.runtime.task.input_schema import compile_schema

    if source.value_format not in FORMATS:
        raise click.UsageError(
            f"the trigger reads {source.value_format}, which this command does not write; it writes {', '.join(FORMATS)}"
        )
    assert asked.value is not None
    event: object = asked.value
    if source.value_format == "json":
        event = json_of(asked.value, "--data")
    elif source.value_format == "text":
        event = asked.value.decode(errors="replace")
    schema = plan.graph.flow.input
    if schema is None:
        return
    try:
        compile_schema(schema)(event)
    except RecordError as error:
        raise click.UsageError(f"--data {error}") from error


def _ensure_topic(admin: "Admin", node: "Node", topic: str, settings: "WorkerSettings") -> None:
    """Make a topic that headrace itself writes to; it may come before the first worker does."""
    from headrace.runtime.contracts.broker import NewTopic
    from headrace.runtime.flow import did_you_mean

    existing = admin.topics()
    if topic in existing:
        return
    action: TriggerAction = node.action  # type: ignore[assignment] # checked where it was found
    feed = action.feed()
    own = {one.name: one for one in feed.topics()} if feed is not None else {}
    if topic not in own:
        raise click.ClickException(
            f"topic '{topic}' does not exist{did_you_mean(topic, existing)}; create it, or run the flow with --create-topics"
        )
    partitions = own[topic].partitions or settings.partitions
    admin.create([NewTopic(name=topic, partitions=partitions, config=own[topic].config)])


def _write(
    broker: "Broker", asked: Asked, settings: "WorkerSettings"
) -> "tuple[TopicPartition, int]":
    from headrace.runtime.contracts.broker import ProducerSettings, TopicPartition

    delivered: list[tuple[TopicPartition, int]] = []
    failed: list[object] = []

    def on_delivery(error: object, message: object) -> None:
        if error is not None:
            failed.append(error)
            return
        where = TopicPartition(message.topic(), message.partition())  # type: ignore[attr-defined] # a Message
        delivered.append((where, message.offset()))  # type: ignore[attr-defined] # likewise

    producer = broker.producer(
        ProducerSettings(
            client_id=f"{settings.prefix}.trigger",
            message_bytes_max=max(1_000_000, len(asked.value or b"") + 100_000),
            reports_deliveries=True,
            client=settings.client,
        )
    )
    try:
        producer.produce(
            asked.topic, asked.value, asked.key, on_delivery=on_delivery, headers=asked.headers
        )
        producer.flush(WRITE_TIMEOUT_S)
        producer.poll(0)
    finally:
        producer.close()
    if not delivered:
        why = failed[0] if failed else "nothing was acknowledged"
        raise click.ClickException(f"the record was not written to '{asked.topic}': {why}")
    return delivered[0]


def _await(
    admin: "Admin", group: str, where: "TopicPartition", offset: int, timeout: timedelta
) -> None:
    from headrace.runtime.clock import SystemClock
    from headrace.runtime.duration import format_duration

    clock = SystemClock()
    deadline_s = clock.monotonic_s() + timeout.total_seconds()
    while admin.group_positions(group).get(where, 0) <= offset:
        if clock.monotonic_s() > deadline_s:
            members = len(admin.group_members(group))
            hint = (
                f"its group '{group}' has {members} members: look at their logs, and at headrace topics for the lag"
                if members
                else f"no worker runs it: its group '{group}' has no members"
            )
            raise click.ClickException(
                f"the flow has not committed {where}@{offset} within {format_duration(timeout)}; {hint}"
            )
        clock.sleep(LOOK_S)
