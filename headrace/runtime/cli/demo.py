"""`headrace demo`."""

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.options import common_options


@click.command(cls=Command, examples=["headrace demo", "headrace demo --brokers kafka:9092 --json"])
@click.option(
    "--brokers",
    metavar="HOST:PORT",
    help="A Kafka that runs already; otherwise one is started for the demo.",
)
@common_options
def demo(brokers: str | None, as_json: bool) -> None:
    """Sort out all 336,776 flights that left New York City in 2013.

    The flights are produced to the topic demo.flights of a real Kafka; a flow of seven stages filters, maps and publishes them
    exactly once. Without a Kafka and without Java to start one, the same flow runs on the memory engine.
    """
    from headrace.runtime.cli.output import print_json
    from headrace.runtime.demo.broker import find_broker
    from headrace.runtime.demo.show import run_demo, show

    with find_broker(brokers, is_quiet=as_json) as found:
        outcome = run_demo(found, is_quiet=as_json)
        if as_json:
            print_json(outcome.document())
        else:
            show(outcome)
