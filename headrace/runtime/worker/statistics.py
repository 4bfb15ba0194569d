"""What a member tells of its work."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.runtime.contracts.broker import TopicPartition


@dataclass
class MemberStatistics:
    """What a member has done since it began. Read from other threads; each number is exact once the member rests."""

    records_read: int = 0
    commits: int = 0
    aborts: int = 0
    rejoins: int = 0
    last_record_s: float = 0.0
    last_commit_s: float = 0.0
    assignment: frozenset[TopicPartition] = frozenset()
    written: Mapping[tuple[str, str], int] = field(default_factory=dict)
    failed: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    late: Mapping[tuple[str, str], int] = field(default_factory=dict)
