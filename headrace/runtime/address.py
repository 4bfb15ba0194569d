"""Addresses as people write them: `127.0.0.1:8080`, `kafka-3:8080`, `[::1]:8080`."""

from ipaddress import ip_address
from typing import NamedTuple

PORT_MAX = 65_535


class Address(NamedTuple):
    """A host and a port; an IPv6 host stands in brackets only when it is written."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    @property
    def is_any(self) -> bool:
        """Whether it stands for all addresses of this machine, so that nobody can call it by this name."""
        try:
            return ip_address(self.host).is_unspecified
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """Read `host:port`.

    Raises:
        ValueError: says how an address is written.
    """
    host, colon, port = text.strip().rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    is_number = port.isascii() and port.isdecimal()
    if not colon or not host or not is_number or int(port) > PORT_MAX:
        raise ValueError("must be host:port, such as 127.0.0.1:8080; port 0 is any that is free")
    if any(sign.isspace() or sign in "/@[]" for sign in host) or (":" in host) != is_bracketed:
        raise ValueError(
            "must be host:port, such as 127.0.0.1:8080; an IPv6 host goes in brackets: [::1]:8080"
        )
    return Address(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its own name for itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
