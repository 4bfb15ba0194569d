"""`headrace version`."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.options import common_options

LIBRARIES = (
    "click",
    "confluent-kafka",
    "google-re2",
    "orjson",
    "pydantic",
    "PyYAML",
    "rich",
    "uvloop",
)


def library_versions() -> dict[str, str | None]:
    """The versions of what headrace is built on; None for a library that is not installed."""
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str | None:
    try:
        return installed(name)
    except PackageNotFoundError:
        return None


@click.command(cls=Command, examples=["headrace version --json"])
@common_options
def version(as_json: bool) -> None:
    """Print versions."""
    from headrace.runtime.cli.output import print_json

    own = installed("headrace")
    if as_json:
        print_json(
            {
                "headrace": own,
                "python": platform.python_version(),
                "libraries": library_versions(),
            }
        )
        return
    click.echo(f"headrace {own}")
    click.echo(f"Python {platform.python_version()}")
    for name, found in library_versions().items():
        click.echo(f"{name} {found or 'is not installed'}")
