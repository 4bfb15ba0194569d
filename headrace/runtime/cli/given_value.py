"""Values that a command is given: as they are, from a file, or from standard input."""

import click


def bytes_of(given: str) -> bytes:
    """The bytes of `TEXT`, of the file of `@FILE`, or of standard input for `@-`."""
    if not given.startswith("@"):
        return given.encode()
    try:
        with click.open_file(given[1:], "rb") as file:
            read: bytes = file.read()
            return read
    except OSError as error:
        raise click.UsageError(
            f"{given[1:]} cannot be read: {(error.strerror or 'unknown').lower()}"
        ) from error


def json_of(value: bytes, what: str) -> object:
    """A JSON value."""
    import orjson

    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise click.UsageError(
            f"{what} is no JSON: {error}; text needs quotes of its own"
        ) from None
