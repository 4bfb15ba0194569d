"""What the embedded engine needs: the extra, Java, the connector, and a database that is set up for it (`headrace cdc check`)."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from headrace.connectors.cdc.config import CdcConfig
from headrace.connectors.cdc.connection_settings import address
from headrace.connectors.cdc.debezium.database import Borrowed, borrowed
from headrace.connectors.cdc.debezium.failures import ANEW
from headrace.connectors.cdc.debezium.process import engine_jars
from headrace.connectors.cdc.debezium.properties import class_of
from headrace.connectors.cdc.operation import Operation
from headrace.connectors.cdc.postgres.guards import AGAIN
from headrace.runtime.contracts.capture import Finding
from headrace.runtime.contracts.feed import FeedPlace
from headrace.runtime.errors import HeadraceError, SettingsError

JAVA_VERSION_MIN: Final = 17
_NATIVE_ONLY: Final = frozenset(
    {
        "binlog_row_metadata",
        "gtid_mode",
        "binlog_transaction_compression",
        "mysql56_temporal_format",
    }
)
"""Settings of MySQL and MariaDB that Debezium does without: it keeps a history of the schema, and reads positions in files."""
_CONNECTORS = "META-INF/services/org.apache.kafka.connect.source.SourceConnector"
_SNAPSHOT_PRIVILEGES = ("RELOAD", "ALL PRIVILEGES")


def findings(config: CdcConfig, prefix: str, place: FeedPlace) -> Iterator[Finding]:
    """What is well and what is not: this machine first, then the database."""
    yield from _machine(config, str(place.settings.get("debezium.java_home") or ""))
    try:
        found = borrowed(config, prefix, place)
        if found is None:
            text = (
                f"what {class_of(config)} needs there is not looked at; its documentation says it"
            )
            yield Finding(level="warning", subject="database", text=text)
        else:
            yield from _database(found, prefix)
    except HeadraceError as error:
        yield Finding(level="error", subject="connection", text=str(error))


def _machine(config: CdcConfig, java_home: str) -> Iterator[Finding]:
    try:
        jars = engine_jars()
    except SettingsError as error:
        yield Finding(level="error", subject="engine", text=str(error))
        return
    yield Finding(
        level="ok", subject="engine", text=f"the extra is installed, with {len(jars)} jars"
    )
    yield _java(java_home)
    further = config.debezium.class_path if config.debezium else ()
    yield _connector(class_of(config), [*jars, *further])


def _java(java_home: str) -> Finding:
    from headrace.connectors.cdc.debezium.engine import java_library  # needs the extra

    try:
        library = Path(java_library(java_home))
    except RuntimeError as error:
        return Finding(level="error", subject="Java", text=str(error))
    version = java_version(library)
    if version is not None and version < JAVA_VERSION_MIN:
        text = (
            f"{library} is Java {version}, and the engine needs {JAVA_VERSION_MIN} or newer; install one, or name it in"
            " 'debezium.java_home'"
        )
        return Finding(level="error", subject="Java", text=text)
    return Finding(level="ok", subject="Java", text=f"{version or 'a Java'}, at {library}")


def java_version(library: Path) -> int | None:
    """The first number of the version of the Java that a library belongs to; None where it does not tell."""
    for folder in library.parents:
        release = folder / "release"
        if release.is_file():
            for line in release.read_text().splitlines():
                name, _, value = line.partition("=")
                number = value.strip('"').removeprefix("1.").partition(".")[0]
                if name == "JAVA_VERSION" and number.isdecimal():
                    return int(number)
    return None


def _connector(name: str, class_path: Sequence[str]) -> Finding:
    places = [place for entry in class_path for place in _places(entry)]
    if any(_holds(place, f"{name.replace('.', '/')}.class") for place in places):
        return Finding(level="ok", subject="connector", text=f"{name} is installed")
    there = sorted(one for place in places for one in _connectors(place) if "debezium" in one)
    text = (
        f"{name} is in none of the jars; see 'connector_class', and name its jars in 'debezium.class_path'. There are"
        f" {', '.join(there) or 'none'}"
    )
    return Finding(level="error", subject="connector", text=text)


def _places(entry: str) -> Sequence[Path]:
    """The jar or folder of an entry of the class path; `folder/*` stands for the jars in it."""
    path = Path(entry)
    return sorted(path.parent.glob(f"{path.name}.jar")) if entry.endswith("*") else [path]


def _holds(place: Path, name: str) -> bool:
    if not zipfile.is_zipfile(place):
        return (place / name).is_file()
    with zipfile.ZipFile(place) as jar:
        return name in jar.NameToInfo


def _connectors(place: Path) -> Sequence[str]:
    """The classes of connectors that a jar declares."""
    if not _holds(place, _CONNECTORS) or not zipfile.is_zipfile(place):
        return []
    with zipfile.ZipFile(place) as jar:
        return jar.read(_CONNECTORS).decode().split()


def _database(found: Borrowed, prefix: str) -> Iterator[Finding]:
    """What the native engine would say of it, without what only that one needs."""
    is_postgres = found.config.kind == "postgresql"
    try:
        _try_driver(is_postgres=is_postgres)
    except SettingsError as error:
        text = (
            f"the engine reads it, but what it needs there cannot be looked at from here: {error}"
        )
        yield Finding(level="warning", subject="database", text=text)
        return
    said = Operation(found.config, prefix, found.place).check()
    for one in said:
        if one.subject not in _NATIVE_ONLY:
            yield replace(one, text=one.text.replace(AGAIN, ANEW))
    can_enter = not any(one.subject == "connection" and one.level == "error" for one in said)
    if not is_postgres and can_enter and found.config.snapshot != "never":
        yield _snapshot_privileges(found)


def _try_driver(*, is_postgres: bool) -> None:
    if is_postgres:
        from headrace.connectors.cdc.postgres.connection import driver
    else:
        from headrace.connectors.cdc.mysql.connection import driver
    driver()


def _snapshot_privileges(found: Borrowed) -> Finding:
    from headrace.connectors.cdc.mysql.connection import Sql

    sql = Sql(address(found.place.settings))
    try:
        grants = " ".join(str(one[0]) for one in sql("SHOW GRANTS"))
    finally:
        sql.close()
    if any(one in grants for one in _SNAPSHOT_PRIVILEGES):
        return Finding(level="ok", subject="privileges", text="the user may lock for the snapshot")
    text = (
        "the user was not granted RELOAD, with which Debezium locks the tables when its snapshot begins: run GRANT RELOAD, LOCK"
        " TABLES, SHOW DATABASES ON *.* for it"
    )
    return Finding(level="warning", subject="privileges", text=text)
