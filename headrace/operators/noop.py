"""`noop`: does nothing."""

from headrace.runtime.contracts.action import Code, InlineAction


class Noop(InlineAction):
    """Passes every record on unchanged."""

    def emit(self, code: Code) -> None:
        code.forward(code.event, is_unchanged=True)
