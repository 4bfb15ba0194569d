"""How much processor time others took meanwhile, by which a reader can judge how calm the machine was."""

import os
import time
from pathlib import Path


class OtherLoad:
    """Watches the machine from its making until `cores` is asked for.

    `broker` is the process id of the broker. What this process and its ended children used is known to the kernel.
    """

    def __init__(self, broker: int | None) -> None:
        self._broker = broker
        self._begun_s = time.monotonic()
        self._begun_cpu_s = self._others_s()

    def cores(self) -> float:
        """The cores that were busy with neither the contender nor the broker, on average."""
        taken_s = self._others_s() - self._begun_cpu_s
        return max(0.0, taken_s / (time.monotonic() - self._begun_s))

    def _others_s(self) -> float:
        times = os.times()
        ours = times.user + times.system + times.children_user + times.children_system
        return _machine_s() - ours - (_process_s(self._broker) if self._broker else 0.0)


def _machine_s() -> float:
    """User, nice, system, interrupt and stolen time of all cores."""
    fields = [
        int(text) for text in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:]
    ]
    user, nice, system, _, _, interrupt, soft_interrupt, stolen = fields[:8]
    return (user + nice + system + interrupt + soft_interrupt + stolen) / os.sysconf("SC_CLK_TCK")


def _process_s(process: int) -> float:
    after_name = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
