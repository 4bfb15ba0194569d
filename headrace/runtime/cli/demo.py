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
    """How late are the flights from New York City, hour by hour, and in what weather?

    All 336,776 flights of 2013 are produced to the topic demo.flights of a real Kafka, the airlines and the weather to tables.
    A flow filters them, reduces them to hours per airport, adds the weather and an airline, and publishes the results exactly
    once. Without a Kafka and without Java to start one, the same flow runs on the memory engine.
    """
    from headrace.runtime.cli.output import print_json
    from headrace.runtime.demo.broker import find_broker
    from headrace.runtime.demo.run import run_demo
    from headrace.runtime.demo.show import document, show

    with find_broker(brokers, is_quiet=as_json) as found:
        outcome = run_demo(found, is_quiet=as_json)
        if as_json:
            print_json(document(outcome))
        else:
            show(outcome)
