"""The broker of the demo: the one given, the local one, one started for it, or this process's memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headrace.runtime.brokers import connect, memory_broker
from headrace.runtime.cli.broker import find_launcher
from headrace.runtime.cli.output import stderr
from headrace.runtime.clock import SystemClock
from headrace.runtime.contracts.broker import Broker
from headrace.runtime.errors import SettingsError


@dataclass(frozen=True)
class DemoBroker:
    """Where the demo runs. `text` says it in words; `brokers` is empty for the memory engine."""

    broker: Broker
    brokers: str
    text: str


@contextmanager
def find_broker(brokers: str | None, *, is_quiet: bool) -> Iterator[DemoBroker]:
    """The best broker to be had; one that was started here ends with the context."""
    if brokers is not None:
        yield DemoBroker(connect("kafka", brokers, {}), brokers, f"Kafka on {brokers}")
        return
    console = stderr()

    def say(line: str) -> None:
        if not is_quiet:
            console.print(line, soft_wrap=True)

    launcher = find_launcher()
    running = launcher.in_background()
    if running is not None:
        text = f"the local Kafka {running.version} on {running.brokers}"
        yield DemoBroker(connect("kafka", running.brokers, {}), running.brokers, text)
        return
    kafka = launcher.in_foreground(port=0, data=None, ephemeral=True, progress=say)
    try:
        kafka.start()
    except SettingsError as error:
        say(
            f"{error}\n\nno Kafka can be started here, so the same flow runs on the memory engine\n"
        )
        yield DemoBroker(memory_broker(SystemClock()), "", "the memory engine (no Kafka here)")
        return
    try:
        text = f"Apache Kafka {kafka.version} on {kafka.brokers}, started for the demo"
        yield DemoBroker(connect("kafka", kafka.brokers, {}), kafka.brokers, text)
    finally:
        kafka.stop()
