from datetime import timedelta
from pathlib import Path

from headrace.runtime.cli.worker_commands import worker_command, worker_commands


def command() -> list[str]:
    options = {
        "brokers": "a:1",
        "prefix": None,
        "create_topics": True,
        "commit_interval": "1s",
        "instance_id": "here",
    }
    return worker_command(
        ["flows", "-odd.yaml"],
        {"client.security.protocol": "ssl"},
        Path("settings.yaml"),
        options,
        "info",
        timedelta(seconds=2),
    )


def test_a_worker_process_gets_the_options_of_the_run() -> None:
    words = command()

    assert words[1:4] == ["-m", "headrace", "run"]
    assert words[4:] == [
        "--json",
        "--supervised",
        "--log-level",
        "info",
        "--brokers=a:1",
        "--create-topics",
        "--commit-interval=1s",
        "--config=settings.yaml",
        "--until-idle=2s",
        "--set=client.security.protocol=ssl",
        "--",
        "flows",
        "-odd.yaml",
    ]


def test_each_process_has_an_instance_id_of_its_own() -> None:
    commands = worker_commands(command(), 3, "here")

    ids = [[word for word in words if word.startswith("--instance-id=")] for words in commands]
    assert ids == [["--instance-id=here-0"], ["--instance-id=here-1"], ["--instance-id=here-2"]]
    assert all(
        words.index("--") > words.index(own[0]) for words, own in zip(commands, ids, strict=True)
    )


def test_without_an_instance_id_all_processes_have_one_command() -> None:
    assert worker_commands(command(), 2, None) == [command(), command()]


def test_each_process_answers_http_on_the_next_port() -> None:
    commands = worker_commands(command(), 2, None, "0.0.0.0:8080", "[::1]:80")

    own = [[word for word in words if "http" in word] for words in commands]
    assert own == [
        ["--http=0.0.0.0:8080", "--set=http_advertise=[::1]:80"],
        ["--http=0.0.0.0:8081", "--set=http_advertise=[::1]:81"],
    ]


def test_any_port_is_any_port_for_all() -> None:
    commands = worker_commands(command(), 2, None, "127.0.0.1:0", "worker-3")

    assert all("--http=127.0.0.1:0" in words for words in commands)
    assert all("--set=http_advertise=worker-3" in words for words in commands)
