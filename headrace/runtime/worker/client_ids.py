"""The client id of a member's consumer: `<group>.<name>@<host>:<port>`, so that workers find each other through the group.

The broker tells the client ids of a group's members along with what each was assigned. Neither groups nor names hold an `@`.
Of a static member the classic group protocol keeps the client id of its first join, until its session was over: there the
address must be a fixed one.
"""


def client_id(group: str, name: str, address: str | None) -> str:
    """What a member calls itself; without an address when it answers no HTTP."""
    return f"{group}.{name}" if address is None else f"{group}.{name}@{address}"


def address_of(client_id: str) -> str | None:
    """Where the worker of a member answers HTTP, as `host:port`; None when it does not."""
    _, _, address = client_id.rpartition("@")
    host, colon, port = address.rpartition(":")
    return address if host and colon and port.isdecimal() and "@" in client_id else None


def name_of(client_id: str) -> str:
    """What people call the member: its client id without the address."""
    return client_id if address_of(client_id) is None else client_id.rpartition("@")[0]
