"""Calls to a target that fails for a while: two worker processes, one of which is killed, on a real broker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import orjson
import pytest

from headrace.connectors.kafka import KafkaBroker
from headrace.runtime.contracts.broker import ProducerSettings, TopicPartition

pytestmark = pytest.mark.kafka

TopicFactory = Callable[..., str]
WAIT_S = 120.0
RECORDS, KEYS = 400, 20


class Target:
    """Something over HTTP that fails while `is_down`, and notes what it was asked, per idempotency key."""

    def __init__(self) -> None:
        self.is_down = Event()
        self.asked: list[tuple[str, int]] = []
        self.refused = 0
        self._lock = Lock()
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
                status = target.answer(self.headers["idempotency-key"], body["n"])
                data = orjson.dumps({"twice": body["n"] * 2})
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Tests have their own words."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def answer(self, key: str, number: int) -> int:
        with self._lock:
            if self.is_down.is_set():
                self.refused += 1
                return 503
            self.asked.append((key, number))
            return 200


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    thread = Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def flow(name: str, sink: str, port: int) -> str:
    return f"""
    name: {name}
    stages:
      - {{name: in, action: kafka, config: {{topics: {name}}}, out: call}}
      - name: call
        action: http
        config:
          url: http://127.0.0.1:{port}/double
          method: POST
          body: '${{event}}'
          into: answer
        retry: {{attempts: 100, backoff: 100ms, wait: deferred}}
        breaker: {{failures: 5, pause: 1s}}
        out: sink
      - {{name: sink, action: publish, config: {{topic: {sink}}}}}
    """


@contextmanager
def worker(folder: Path, name: str, brokers: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(folder / name),
        "HEADRACE_BROKERS": brokers,
        "HEADRACE_SESSION_TIMEOUT": "6s",
    }
    words = ["run", "flow.yaml", "--http", "127.0.0.1:0", "--log-level", "warning"]
    started = subprocess.Popen(
        [sys.executable, "-m", "headrace", *words], cwd=folder, env=environment
    )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGKILL)
        started.wait()


def until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def read(brokers: str, topic: str, partitions: int) -> list[Any]:
    broker = KafkaBroker(brokers)
    admin, reader = broker.admin(), broker.reader("test", {})
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        ends = admin.offsets(places, "latest")
        reader.assign(dict.fromkeys(places, 0))
        found: list[Any] = []
        while any(reader.positions()[place] < ends[place] for place in places):
            found += reader.read(10_000, 1.0)
        return found
    finally:
        reader.close()
        admin.close()


def test_a_target_that_is_down_for_a_while_and_a_killed_worker_lose_double_and_reorder_nothing(
    kafka_brokers: str, topic: TopicFactory, tmp_path: Path, target: Target
) -> None:
    source, sink = topic("calls", partitions=4), topic("called", partitions=4)
    (tmp_path / "flow.yaml").write_text(flow(source, sink, target.port))
    producer = KafkaBroker(kafka_brokers).producer(ProducerSettings(client_id="test"))

    def feed(numbers: range) -> None:
        for n in numbers:
            producer.produce(source, orjson.dumps({"n": n}), f"key-{n % KEYS}")
        producer.flush(30)

    def doctor() -> str:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "headrace",
                "doctor",
                "flow.yaml",
                "--brokers",
                kafka_brokers,
                "--json",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )
        return " ".join(one["text"] for one in json.loads(done.stdout)["checks"])

    with worker(tmp_path, "one", kafka_brokers) as one, worker(tmp_path, "two", kafka_brokers):
        feed(range(100))
        until(lambda: len(target.asked) >= 100, "the first records are called for")
        target.is_down.set()
        feed(range(100, 300))
        until(lambda: "is open" in doctor(), "doctor tells of the circuit")
        one.send_signal(signal.SIGKILL)
        feed(range(300, RECORDS))
        target.is_down.clear()
        until(lambda: len(read(kafka_brokers, sink, 4)) >= RECORDS, "everything comes out")
    producer.close()

    out = read(kafka_brokers, sink, 4)
    values = [orjson.loads(message.value()) for message in out]
    assert sorted(value["n"] for value in values) == list(range(RECORDS))
    assert all(value["answer"] == {"twice": value["n"] * 2} for value in values)
    for key in range(KEYS):
        of_key = [v["n"] for m, v in zip(out, values, strict=True) if m.key() == b"key-%d" % key]
        assert of_key == sorted(of_key)
    ids: dict[str, int] = {}
    for called, number in target.asked:
        assert ids.setdefault(called, number) == number, "an id belongs to one record"
    assert len(ids) == RECORDS
    assert 0 < target.refused < 200, "an open circuit keeps calls away"
