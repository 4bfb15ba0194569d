import json
from pathlib import Path

import pytest

from headrace.connectors.local_kafka.configuration import check_properties, server_properties
from headrace.connectors.local_kafka.data import MARKER, DataFolder, remove
from headrace.connectors.local_kafka.errors import DataInUseError, LocalKafkaStartError
from headrace.connectors.local_kafka.settings import LocalKafkaSettings
from headrace.runtime.errors import SettingsError


def opened(path: Path, version: str = "4.3.1") -> DataFolder:
    folder = DataFolder(path)
    folder.open(version)
    return folder


def test_a_data_folder_keeps_its_cluster_id(tmp_path: Path) -> None:
    first = opened(tmp_path / "data")
    cluster_id = first.cluster_id
    first.close()

    second = opened(tmp_path / "data")

    assert second.cluster_id == cluster_id
    assert len(cluster_id) == 22
    second.close()


def test_one_broker_at_a_time_works_on_a_data_folder(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.properties.write_text("a=b\nadvertised.listeners=PLAINTEXT://127.0.0.1:9092\n")

    with pytest.raises(DataInUseError, match=r"in use by another broker \(on port 9092\)"):
        opened(tmp_path)
    with pytest.raises(DataInUseError):
        remove(tmp_path)

    first.close()
    opened(tmp_path).close()


def test_data_of_a_newer_kafka_are_left_alone(tmp_path: Path) -> None:
    opened(tmp_path, "4.10.0").close()

    with pytest.raises(LocalKafkaStartError, match=r"written by Kafka 4\.10\.0"):
        opened(tmp_path, "4.3.1")


def test_data_of_an_older_kafka_are_taken_over_for_good(tmp_path: Path) -> None:
    opened(tmp_path, "4.3.1").close()

    opened(tmp_path, "4.10.0").close()

    with pytest.raises(LocalKafkaStartError):
        opened(tmp_path, "4.3.1")


def test_a_folder_with_other_files_is_neither_used_nor_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")

    with pytest.raises(
        LocalKafkaStartError, match=r"not a data folder of headrace: it holds thesis\.tex"
    ):
        opened(tmp_path)
    with pytest.raises(LocalKafkaStartError, match="was not deleted"):
        remove(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", json.dumps({"format": 1, "kafka": "x", "cluster_id": "y"})]
)
def test_a_damaged_marker_is_an_error_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER).write_text(text)

    with pytest.raises(LocalKafkaStartError, match="headrace broker reset"):
        opened(tmp_path)

    assert remove(tmp_path)


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert not remove(tmp_path / "never")


def test_properties_win_over_defaults_and_not_over_the_launcher() -> None:
    text = server_properties(
        port=1,
        controller_port=2,
        listen_host="127.0.0.1",
        logs=Path("/data"),
        properties={"num.partitions": "3", "auto.create.topics.enable": "true"},
    )

    lines = text.splitlines()
    assert "num.partitions=3" in lines
    assert "auto.create.topics.enable=true" in lines
    assert "listeners=PLAINTEXT\\://127.0.0.1\\:1,CONTROLLER\\://127.0.0.1\\:2" in lines
    with pytest.raises(SettingsError, match=r"decides listeners, log\.dirs by itself"):
        check_properties({"log.dirs": "/x", "listeners": "x", "num.partitions": "1"})


def test_a_path_is_written_as_java_reads_it() -> None:
    text = server_properties(
        port=1, controller_port=2, listen_host="h", logs=Path("/d\\a ö\U0001f600"), properties={}
    )

    assert "log.dirs=/d\\\\a\\ \\u00f6\\ud83d\\ude00" in text.splitlines()


def test_a_path_that_kafka_would_read_as_two_is_refused() -> None:
    with pytest.raises(SettingsError, match="has a comma in its path"):
        server_properties(
            port=1, controller_port=2, listen_host="h", logs=Path("/a,b"), properties={}
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": 70_000}, "port 70000 is out of bounds"),
        ({"memory_mb": 1}, "at least 128"),
        ({"data": Path("x"), "ephemeral": True}, "leave out one of the two"),
        ({"properties": {"node.id": "2"}}, r"decides node\.id by itself"),
    ],
)
def test_settings_out_of_bounds_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        LocalKafkaSettings(**settings)  # type: ignore[arg-type] # the point is what they hold


def test_data_are_ephemeral_exactly_when_no_folder_is_named() -> None:
    assert LocalKafkaSettings().is_ephemeral
    assert not LocalKafkaSettings(data=Path("x")).is_ephemeral
    assert not LocalKafkaSettings(ephemeral=False).is_ephemeral
