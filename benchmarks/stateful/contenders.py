"""The contenders of the works that need state."""

from collections.abc import Mapping

from benchmarks.contender import Contender, Task, in_python, this_python, version_in
from benchmarks.environments.java_environment import class_path
from benchmarks.environments.python_environment import python_of


def _quix() -> str:
    return python_of("quix")


def _bytewax() -> str:
    return python_of("bytewax")


def _java(task: Task) -> list[str]:
    given = [task.brokers, task.source, task.target, task.group, str(task.records), str(task.kept)]
    return ["java", "-cp", class_path(), "StatefulStreamsContender", *given, *task.options]


def _headrace(store: str) -> Contender:
    return Contender(
        name=f"headrace-{store}",
        version=version_in(this_python, "headrace", "confluent-kafka", "orjson"),
        command=in_python(this_python, "headrace_stateful", [store]),
    )


_ALL = [
    Contender(
        name="handwritten",
        version=version_in(this_python, "confluent-kafka", "orjson"),
        command=in_python(this_python, "handwritten_stateful"),
    ),
    _headrace("rocksdb"),
    _headrace("memory"),
    Contender(name="kafka-streams", version=lambda: "kafka-streams 4.3.1", command=_java),
    Contender(
        name="quix",
        version=version_in(_quix, "quixstreams", "confluent-kafka", "rocksdict"),
        command=in_python(_quix, "quix_stateful"),
        records_max=100_000,
    ),
    Contender(
        name="bytewax",
        version=version_in(_bytewax, "bytewax", "confluent-kafka", "orjson"),
        command=in_python(_bytewax, "bytewax_flow"),
        records_max=100_000,
    ),
]
CONTENDERS: Mapping[str, Contender] = {contender.name: contender for contender in _ALL}
REMARKS: Mapping[str, str] = {
    "quix": "Quix Streams writes a result per record; the others one per changed key and commit",
    "bytewax": "Bytewax has no Kafka transactions and ran without recovery: nothing that it wrote is exactly once,"
    " and its state is lost with the process. It writes windows when they close",
}
