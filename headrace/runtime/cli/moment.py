"""Moments as options of commands."""

from datetime import UTC, datetime
from typing import Any

import click


class MomentType(click.ParamType[int]):
    """Milliseconds since 1970 UTC, written as such, as ISO 8601, or as how long ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from headrace.runtime.clock import SystemClock
        from headrace.runtime.duration import parse_duration

        if isinstance(value, int):
            return value
        if value.isascii() and value.isdigit():
            return int(value)
        try:
            ago = parse_duration(value.removeprefix("-"))
        except ValueError:
            pass
        else:
            return SystemClock().now_ms() - int(ago.total_seconds() * 1000)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is no time; write how long ago (1h), or a time such as 2026-01-31T12:00:00Z",
                param,
                ctx,
            )
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def text_of_moment(moment_ms: int) -> str:
    """A moment for people, in UTC."""
    moment = datetime.fromtimestamp(moment_ms // 1000, UTC)
    return moment.isoformat(sep=" ").removesuffix("+00:00")
