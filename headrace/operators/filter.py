"""`filter`: passes a record on, or drops it."""

from collections.abc import Iterable

import re2
from pydantic import Field

from headrace.operators.conversion import to_string
from headrace.runtime.contracts.action import ActionConfig, Code, InlineAction
from headrace.runtime.expression import Expression


class FilterConfig(ActionConfig):
    """Either `where`, or `field` with `match` or `pattern`."""

    where: Expression | None = Field(None, description="passes the records for which this holds")
    field: str | list[str] | None = Field(
        None, description="the field, or fields of which one is enough, to compare as text"
    )
    match: str | None = Field(
        None, description="matches a field that is exactly this text; wins over `pattern`"
    )
    pattern: str | None = Field(
        None,
        description="matches a field in which this regular expression is found; may stand between slashes",
    )
    reject_matches: bool = Field(
        True, description="drop what matches; false passes only what matches"
    )


class Filter(InlineAction):
    """Drops the records that a condition does not let pass."""

    Config = FilterConfig
    config: FilterConfig

    def problems(self) -> Iterable[str]:
        config = self.config
        by_field = (
            config.field is not None or config.match is not None or config.pattern is not None
        )
        if config.where is not None and by_field:
            yield "has both 'where' and 'field'/'match'/'pattern'; keep one of the two forms"
        elif config.where is None and not by_field:
            yield "needs 'where', or 'field' with 'match' or 'pattern'"
        elif by_field and not config.field:
            yield "needs 'field': which field should match"
        elif by_field and config.match is None and config.pattern is None:
            yield "needs 'match' or 'pattern' beside 'field'"
        if config.pattern is not None:
            try:
                compile_pattern(config.pattern)
            except re2.error as error:
                yield f"pattern: {_reason(error)}; the syntax is RE2's, without look-around and back-references"

    def summary(self) -> str:
        config = self.config
        if config.where is not None:
            return config.where.text
        fields = [config.field] if isinstance(config.field, str) else config.field or []
        how = "drop" if config.reject_matches else "keep"
        what = f"= {config.match!r}" if config.match is not None else f"~ {config.pattern}"
        return f"{how} {' or '.join(fields)} {what}"

    def emit(self, code: Code) -> None:
        if self.config.where is not None:
            self._pass_if(code, code.expression(self.config.where))
            return
        fields = (
            [self.config.field] if isinstance(self.config.field, str) else self.config.field or []
        )
        as_text = code.constant(text_of, "text_of")
        if self.config.match is not None:
            tests = [
                f"{as_text}({code.event}[{name!r}]) == {self.config.match!r}" for name in fields
            ]
        else:
            found = code.constant(compile_pattern(self.config.pattern or "").search, "found")
            tests = [f"{found}({as_text}({code.event}[{name!r}])) is not None" for name in fields]
        condition = " or ".join(tests)
        self._pass_if(code, f"not ({condition})" if self.config.reject_matches else condition)

    def _pass_if(self, code: Code, condition: str) -> None:
        with code.block(f"if {condition}:"):
            code.visited("passed")
            code.forward(code.event, is_unchanged=True)
        with code.block("else:"):
            code.visited("dropped")


def compile_pattern(pattern: str) -> "re2._Regexp":
    """Compile a pattern; the slashes that may stand around it are not part of it.

    RE2 takes time linear in the text, whatever the pattern.
    """
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        pattern = pattern[1:-1]
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options=options)


def text_of(value: object) -> str:
    """A field as the text that is compared: JSON's spelling for what is no text."""
    if isinstance(value, str):
        return value
    return to_string(value)


def _reason(error: re2.error) -> str:
    reason = error.args[0]
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
