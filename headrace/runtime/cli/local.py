"""The local broker for the time of a command: the one in the background, or one of the command's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.runtime.cli.broker import find_launcher
from headrace.runtime.errors import SettingsError


@contextmanager
def local_brokers() -> Iterator[str]:
    """The address of a local broker that answers; one that was started here ends with the context.

    Raises:
        SettingsError: there is none, and none can be started; says why, and what to do.
    """
    from headrace.runtime.cli.output import stderr

    launcher = find_launcher()
    running = launcher.in_background()
    if running is not None:
        yield running.brokers
        return
    console = stderr()
    kafka = launcher.in_foreground(port=0, data=None, ephemeral=False, progress=console.print)
    try:
        kafka.start()
    except SettingsError as error:
        raise SettingsError(
            f"{error}\nwithout a broker, `headrace test` runs flows on test cases; --brokers names a broker that runs elsewhere"
        ) from error
    try:
        console.print(
            f"local broker on {kafka.brokers} for the time of this run, records kept in {kafka.data};"
            " `headrace broker start` keeps one running",
            soft_wrap=True,
        )
        yield kafka.brokers
    finally:
        kafka.stop()
