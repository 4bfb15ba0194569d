import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headrace.connectors.local_kafka.class_data import KEPT, ClassData
from headrace.connectors.local_kafka.java import Java
from headrace.connectors.local_kafka.ports import FIRST, LAST, free_port, is_free
from headrace.connectors.local_kafka.probe import answering_cluster
from headrace.connectors.local_kafka.process import ChildProcess, DetachedProcess, process_identity

FOREVER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


def child(tmp_path: Path, command: list[str]) -> ChildProcess:
    return ChildProcess(
        command, log=tmp_path / "log", folder=tmp_path, keep_open=[], remove=None, kill_command=[]
    )


def test_a_child_is_known_to_run_and_how_it_ended(tmp_path: Path) -> None:
    process = child(tmp_path, FOREVER)
    assert process.is_running()

    process.signal(signal.SIGKILL)

    assert process.wait(20)
    assert not process.is_running()
    assert process.describe_end() == "was killed by signal 9"


def test_a_child_that_ends_by_itself_writes_to_the_log(tmp_path: Path) -> None:
    process = child(tmp_path, [sys.executable, "-c", "import sys; print('out'); sys.exit('err')"])

    assert process.wait(20)
    assert process.describe_end() == "ended with exit code 1"
    assert sorted((tmp_path / "log").read_text().split()) == ["err", "out"]


def test_a_program_that_does_not_exist_leaves_no_watch(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        child(tmp_path, [str(tmp_path / "missing")])


PARENT = """
import signal, sys
from pathlib import Path
from headrace.connectors.local_kafka.process import ChildProcess
folder = Path(sys.argv[1])
command = [sys.executable, "-c", "import signal; signal.pause()"]
killed = ["/bin/sh", "-c", "echo killed > " + str(folder / "killed")]
process = ChildProcess(command, log=folder / "log", folder=folder, keep_open=[], remove=folder / "data", kill_command=killed)
print(process.pid, process._watch.pid, flush=True)
signal.pause()
"""


def test_a_child_its_container_and_its_data_end_with_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    broker, watch = (DetachedProcess(pid, process_identity(pid) or "") for pid in pids)

    parent.kill()
    parent.communicate()

    assert broker.wait(20)
    assert watch.wait(20)
    assert not (tmp_path / "data").exists()
    assert (tmp_path / "killed").exists()


def test_a_detached_process_is_found_by_its_id_and_ends_when_told(tmp_path: Path) -> None:
    process = DetachedProcess.start(
        FOREVER, log=tmp_path / "log with 'quotes'", folder=tmp_path, keep_open=[]
    )
    again = DetachedProcess(process.pid, process.identity)
    assert again.is_running()

    again.signal(signal.SIGTERM)

    assert process.wait(20)


def test_a_later_process_with_the_same_id_is_another_one() -> None:
    assert process_identity(os.getpid()) is not None
    assert not DetachedProcess(os.getpid(), "some other start").is_running()
    assert not DetachedProcess(os.getpid(), "").is_running()


def serve_once(answer: bytes) -> tuple[int, threading.Thread]:
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with server, server.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    return int(server.getsockname()[1]), thread


def metadata(cluster_id: bytes, brokers: int) -> bytes:
    one = struct.pack(">ih4sih", 1, 4, b"host", 9092, -1)
    body = (
        struct.pack(">ii", 1, brokers)
        + one * brokers
        + struct.pack(">h", len(cluster_id))
        + cluster_id
    )
    return struct.pack(">i", len(body)) + body


@pytest.mark.parametrize(
    ("answer", "cluster_id"),
    [
        (metadata(b"abc", 1), "abc"),
        (metadata(b"abc", 3), "abc"),
        (metadata(b"abc", 0), None),
        (metadata(b"abc", 1)[:-1], None),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", None),
        (b"", None),
    ],
)
def test_a_broker_is_known_by_its_cluster_id(answer: bytes, cluster_id: str | None) -> None:
    port, thread = serve_once(answer)

    found = answering_cluster(port, timeout_s=20)

    thread.join()
    assert found == cluster_id


def test_nothing_answers_on_a_free_port() -> None:
    port = free_port()

    assert FIRST <= port <= LAST
    assert answering_cluster(port) is None


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])


@pytest.mark.parametrize(
    ("version", "use", "record"),
    [(17, "SharedArchiveFile", "ArchiveClassesAtExit"), (25, "AOTCache", "AOTCacheOutput")],
)
def test_class_data_are_recorded_once_and_then_used(
    tmp_path: Path, version: int, use: str, record: str
) -> None:
    java = tmp_path / "java"
    java.write_text("")
    class_data = ClassData(tmp_path / "cache", Java(path=java, version=version), [])
    assert class_data.use() == []

    flag = class_data.record("broker-1")[0]
    Path(flag.partition("=")[2]).write_text("archive")
    class_data.keep("broker-1")

    assert flag.startswith(f"-XX:{record}=")
    (used,) = class_data.use()
    assert used.startswith(f"-XX:{use}=")
    assert Path(used.partition("=")[2]).read_text() == "archive"
    assert class_data.record("broker-2") == []


def test_archives_of_earlier_versions_are_removed(tmp_path: Path) -> None:
    for number in range(KEPT + 2):
        java = tmp_path / f"java-{number}"
        java.write_text("")
        class_data = ClassData(tmp_path / "cache", Java(path=java, version=17), [])
        Path(class_data.record("b")[0].partition("=")[2]).write_text("archive")
        class_data.keep("b")

    assert len(list((tmp_path / "cache").iterdir())) == KEPT
    assert class_data.use()


def test_a_broker_that_wrote_no_archive_leaves_none(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("")
    class_data = ClassData(tmp_path / "cache", Java(path=java, version=17), [])
    class_data.record("b")

    class_data.keep("b")
    class_data.drop("b")

    assert class_data.use() == []
