"""A broker that is killed and started again while a flow runs."""

import time

from headrace.connectors.local_kafka import LocalKafka
from tests.crash.harness import Crash
from tests.crash.stateful import Stateful
from tests.crash.workers import ready


def live_through_two_outages(kafka: LocalKafka, crash: Crash | Stateful, per_second: int) -> None:
    """Kill the broker twice under one worker, see that the results are right, and stop the worker."""
    crash.feed(per_second=per_second)
    worker = crash.start()
    ready(worker)
    crash.wait_progress(partitions="all")

    for _ in range(2):
        time.sleep(0.3)  # the markers of the commit that was seen are on their way
        crash.valve.shut()
        kafka.kill()
        time.sleep(1)  # an outage has a length, and the worker lives through it
        kafka.restart()
        crash.valve.open()
        crash.wait_progress(partitions="all")
    crash.end_feed()

    crash.wait_done()
    crash.stop(worker)
