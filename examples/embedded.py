"""A service that runs a flow beside its own work: `python examples/embedded.py 127.0.0.1:9092`."""

import asyncio
import sys

from headrace import Worker, flow


async def main() -> None:
    """Run the flow until Ctrl-C, and say now and then how far it is."""
    orders = flow("big orders")
    source = orders.kafka("orders", topics="orders")
    big = source.filter("big", where="event.amount > 100")
    big.map("total", set={"total": "event.amount * 1.2"}).publish("sink", topic="big-orders")

    async with Worker(orders.build(), brokers=sys.argv[1], create_topics=True) as worker:
        while True:
            await asyncio.sleep(5)
            done = worker.statistics()
            print(f"{done.records_read} records read, {sum(done.written.values())} written")


if __name__ == "__main__":
    asyncio.run(main())
