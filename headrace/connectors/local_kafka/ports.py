"""Free ports on the loopback interface."""

import random
import socket
from collections.abc import Collection

from headrace.connectors.local_kafka.errors import LocalKafkaStartError

# Below the ports that systems give to outgoing connections: a client that tries again and again while its broker is down
# would sooner or later be given the broker's own port, connect to itself, and hold the port against the restart.
FIRST, LAST = 20_000, 30_000


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(excluding: Collection[int] = ()) -> int:
    """A port on which nothing listens now; another program may take it before it is used.

    Raises:
        LocalKafkaStartError: none of a hundred was free.
    """
    chooser = random.SystemRandom()
    for _ in range(100):
        port = chooser.randint(FIRST, LAST)
        if port not in excluding and is_free(port):
            return port
    raise LocalKafkaStartError(
        f"none of a hundred ports from {FIRST} to {LAST} of 127.0.0.1 was free"
    )
