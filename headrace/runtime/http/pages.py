"""Pages of keys: read from one task, and put together from several."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.runtime.http.keys import Encoding, encoded, key_fields, key_of, plain
from headrace.runtime.http.stored import Stored, Wanted


@dataclass(frozen=True)
class Span:
    """Which keys are wanted: `start` <= key < `end` (None: to the last), at most `limit`."""

    start: bytes
    end: bytes | None
    limit: int


@dataclass(frozen=True)
class Page:
    """Some keys with what is stored under them, in the order of their bytes.

    `following` is the first key that is missing, where there is more. `partitions` are those that were looked at.
    """

    items: list[dict[str, Any]]
    following: bytes | None
    partitions: list[int]

    def only(self, partitions: Collection[int]) -> "Page":
        """What is of these partitions: a task that is moving may be told of by two workers."""
        items = [item for item in self.items if item["partition"] in partitions]
        return Page(items, self.following, [one for one in self.partitions if one in partitions])

    def document(self) -> dict[str, Any]:
        """As plain data; `page_of` reads it back."""
        following = None if self.following is None else encoded(self.following)
        return {"items": self.items, "next": following, "partitions": self.partitions}


def page_of(document: dict[str, Any]) -> Page:
    """The page that another worker told of."""
    following = document["next"]
    cut = None if following is None else key_of({"key": following, "encoding": "base64"})
    return Page(document["items"], cut, document["partitions"])


def read_page(
    stored: Stored, partition: int, span: Span, wanted: Wanted, encoding: Encoding
) -> Page:
    """The first keys of a task; fewer when it takes too long."""
    items: list[dict[str, Any]] = []
    for number, (key, found) in enumerate(stored.walk(span.start, span.end, wanted)):
        if number and wanted.is_over():
            return Page(items, key, [partition])
        if found is None:
            continue
        if len(items) == span.limit:
            return Page(items, key, [partition])
        item = {
            **key_fields(key, encoding),
            "partition": partition,
            "entries": plain(found.entries),
        }
        if found.following is not None:
            item["more"] = True
        items.append(item)
    return Page(items, None, [partition])


def merged(pages: Sequence[Page], limit: int) -> Page:
    """One page of several, of other partitions each: the first keys of all, up to where every one of them is complete.

    A key that is in several partitions is not torn apart.
    """
    cut = min((page.following for page in pages if page.following is not None), default=None)
    items = sorted(
        ((key_of(item), item) for page in pages for item in page.items), key=lambda pair: pair[0]
    )
    if cut is not None:
        items = [pair for pair in items if pair[0] < cut]
    if len(items) > limit:
        count = limit
        while count and items[count - 1][0] == items[count][0]:
            count -= 1
        if not count:
            first = items[0][0]
            count = next((i for i, pair in enumerate(items) if pair[0] != first), len(items))
        if count < len(items):
            cut = items[count][0]
        items = items[:count]
    partitions = sorted({number for page in pages for number in page.partitions})
    return Page([item for _, item in items], cut, partitions)
