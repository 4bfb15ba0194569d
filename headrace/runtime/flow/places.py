"""Where in its file each part of a document stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Path = tuple[str | int, ...]
"""The keys and indices that lead to a part of a document, such as `("stages", 2, "config",
"where")`."""


@dataclass(frozen=True)
class Places:
    """The lines of one document, by path; the root has the empty path.

    All places compare equal: where a flow was written is no part of what it is. The entry of a
    mapping stands where its key does.
    """

    file: str = field(default="", compare=False)
    lines: Mapping[Path, int] = field(default_factory=dict, compare=False)

    def line(self, *path: str | int) -> int:
        """The line, from 1, of a part or of the nearest part around it; 0 when there is none."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return 0

    def place(self, *path: str | int) -> str:
        """The same as `orders.yaml:14`; empty for what was made in Python."""
        line = self.line(*path)
        return f"{self.file}:{line}" if line else self.file
