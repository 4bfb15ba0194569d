"""A slot belongs to one process for as long as it lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.runtime.errors import SettingsError
from headrace.runtime.worker.slots import Slot

HOLD = """
import sys
from pathlib import Path
from headrace.runtime.worker.slots import Slot
slot = Slot(Path(sys.argv[1]), "group")
print(slot.name, flush=True)
sys.stdin.read()
"""


def test_slots_of_a_group_are_numbered_and_taken_again_when_they_are_free(tmp_path: Path) -> None:
    first, second = Slot(tmp_path, "group"), Slot(tmp_path, "group")
    other = Slot(tmp_path, "other")
    first.release()
    first.release()

    with Slot(tmp_path, "group") as third:
        assert third.name == first.name
        assert third.folder == tmp_path / "group" / "slot-0"
        assert second.name.endswith("-1")
        assert other.name.endswith("-0")
    second.release()
    other.release()


def test_different_state_directories_have_different_names(tmp_path: Path) -> None:
    with Slot(tmp_path / "a", "group") as first, Slot(tmp_path / "b", "group") as second:
        assert first.name != second.name


def test_the_slot_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        name = process.stdout.readline().decode().strip()
        with Slot(tmp_path, "group") as beside:
            taken = beside.name
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Slot(tmp_path, "group") as after:
        assert after.name == name
        assert taken != name


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "group").write_text("a file")

    with pytest.raises(SettingsError, match="set state_dir to a folder that can be written"):
        Slot(tmp_path, "group")


def test_a_forked_program_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with Slot(tmp_path, "group") as slot:
        assert not os.get_inheritable(slot._descriptor)
