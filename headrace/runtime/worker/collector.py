"""Python's garbage collector, set for a process that does nothing but run flows."""

import gc

ALLOCATIONS_PER_COLLECTION = 50_000
"""A batch of 10,000 records allocates at least as many objects that the collector tracks, and none of them is garbage that
only it could find. With Python's default of 700 it looks at them many times over: a sixth of the time that a record takes."""


def relax_collector() -> None:
    """Collect less often, and never look again at what is there already.

    It changes the whole process, so `headrace run` does it and `Worker` does not: a service that embeds flows may call it when
    everything is imported and set up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_PER_COLLECTION, 20, 20)
