"""A process that captures until it is killed: `victim.py BROKERS NAME CONFIG`, the config as JSON."""

import json
import sys

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.feed import FeedStatus
from tests.cdc.running import feed_of, place_of


def report(status: FeedStatus) -> None:
    print(f"{status.state} {status.text}", flush=True)  # noqa: T201 # what the test waits for


brokers, name, config = sys.argv[1:]
feed = feed_of(json.loads(config))
feed.run(place_of(feed, KafkaBroker(brokers), name, report=report))
