"""What becomes of a record that fails: found out after the fact, at no cost to those that do not."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

import orjson

from headrace.runtime.clock import Clock
from headrace.runtime.codegen import Entry, LinePlace, Module
from headrace.runtime.contracts.broker import Broker, Headers, Message, Reaction
from headrace.runtime.errors import (
    FencedError,
    FlowStoppedError,
    HeadraceError,
    RecordError,
    RestartError,
    RetriableError,
    TransactionError,
)
from headrace.runtime.expression import explain
from headrace.runtime.task.log_limit import LogLimit
from headrace.runtime.task.records import RUN, decode_key, header, plain_headers, run_of

logger = logging.getLogger(__name__)

NOT_THE_RECORD = (RestartError, FencedError, TransactionError, RetriableError)
ERROR_TEXT_MAX = 4_096
"""Characters of an error's text that a dead letter carries."""
TRACEBACK_LINES_MAX = 20


@dataclass(frozen=True)
class Failure:
    """One record that failed in one stage. `text` is safe to log; `detail` may quote what a user's function said."""

    place: LinePlace
    message: Message
    kind: str
    text: str
    detail: str

    @property
    def where(self) -> str:
        message = self.message
        return f"{message.topic()}[{message.partition()}]@{message.offset()}"

    @property
    def flow(self) -> str:
        return self.place.entry.graph.flow.name

    @property
    def stage(self) -> str:
        return self.place.node.name


class Failures:
    """Carries out `on_error`. One per program; called from generated code, on the member's thread.

    `produce` is the blocking form that waits for room in the queue; `secrets` are values that must not be told.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        clock: Clock,
        produce: Callable[..., None],
        dead_letter_topics: Mapping[str, str],
        secrets: frozenset[str],
    ) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._broker = broker
        self._clock = clock
        self._produce = produce
        self._dead_letter_topics = dead_letter_topics
        self._secrets = secrets
        self._modules: dict[str, tuple[Module, Mapping[str, Any]]] = {}
        self._log = LogLimit(clock)

    def add(self, module: Module, namespace: Mapping[str, Any]) -> None:
        """Make a module's failures known by the file name of its frames."""
        self._modules[module.file_name] = (module, namespace)

    def failed(self, error: Exception, message: Message) -> None:
        """A record failed: find its stage, and do what its `on_error` says.

        Raises:
            HeadraceError: the failure is not the record's, or the policy is to stop.
        """
        self._react(error, message, None)

    def failed_decoding(self, error: Exception, message: Message, entry: Entry) -> None:
        """A record that several flows share could not be decoded; each of them decides for itself."""
        self._react(error, message, LinePlace(entry, entry.node, "", {}, is_decoding=True))

    def _react(self, error: Exception, message: Message, place: LinePlace | None) -> None:
        self._raise_unless_record(error)
        traceback, module = self._generated_frame(error)
        if traceback is None or module is None:
            raise error
        place = place or module.lines.get(traceback.tb_lineno)
        assert place, f"{module.file_name}:{traceback.tb_lineno} belongs to no stage"
        failure = self._explain(error, message, place, traceback, module)
        policy = place.node.on_error
        self.counts[
            (failure.flow, failure.stage, policy if place.node.handler is None else "stage")
        ] += 1
        if place.node.handler is not None:
            self._hand_over(failure, traceback.tb_frame, place.node.handler)
        elif policy == "fail":
            raise FlowStoppedError(
                f"flow '{failure.flow}' stopped: stage '{failure.stage}' failed on {failure.where}: {failure.text};"
                " mend the flow or the record, or choose another on_error, and start it again"
            ) from error
        elif policy == "skip":
            self._log.warning(
                (failure.flow, failure.stage),
                f"flow '{failure.flow}': stage '{failure.stage}' skipped {failure.where}: {failure.text}",
            )
        else:
            self._dead_letter(failure)

    def _raise_unless_record(self, error: Exception) -> None:
        if isinstance(error, NOT_THE_RECORD):
            raise error
        reaction = self._broker.reaction(error)
        if reaction is None or reaction is Reaction.RECORD:
            return
        kinds = {
            Reaction.TRANSACTION: TransactionError,
            Reaction.FENCED: FencedError,
            Reaction.RESTART: RestartError,
        }
        raise kinds[reaction](str(error)) from error

    def _generated_frame(self, error: BaseException) -> tuple[TracebackType | None, Module | None]:
        """The innermost frame of the traceback that runs generated code."""
        found: tuple[TracebackType | None, Module | None] = (None, None)
        traceback = error.__traceback__
        while traceback is not None:
            known = self._modules.get(traceback.tb_frame.f_code.co_filename)
            if known:
                found = (traceback, known[0])
            traceback = traceback.tb_next
        return found

    def _explain(
        self,
        error: Exception,
        message: Message,
        place: LinePlace,
        traceback: TracebackType,
        module: Module,
    ) -> Failure:
        where = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        if place.is_decoding:
            what = (
                place.entry.value_format.upper() if place.entry.value_format == "json" else "text"
            )
            reason = error.msg if isinstance(error, orjson.JSONDecodeError) else str(error)
            at = f" at character {error.pos}" if isinstance(error, orjson.JSONDecodeError) else ""
            text = f"could not decode the value of {where} as {what}: {reason}{at}; see on_error of stage '{place.node.name}'"
            return Failure(place, message, "UndecodableError", text, text)
        kind = type(error).__name__
        if isinstance(error, RecordError) or self._broker.reaction(error) is Reaction.RECORD:
            text = str(error)
        elif traceback.tb_next is not None and not isinstance(error, HeadraceError):
            inner = traceback
            while inner.tb_next is not None:
                inner = inner.tb_next
            code = inner.tb_frame.f_code
            text = f"{kind} raised by {code.co_qualname} ({code.co_filename}:{inner.tb_lineno})"
            return Failure(place, message, kind, text, self._without_secrets(f"{text}: {error}"))
        else:
            spelled = {
                **module.spelled,
                **{v: name for name, v in place.variables.items()},
                place.event: "event",
            }
            text = explain(error, traceback, spelled)
        text = self._without_secrets(text)
        return Failure(place, message, kind, text, text)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:ERROR_TEXT_MAX]

    def _hand_over(self, failure: Failure, frame: FrameType, handler: str) -> None:
        """Give the error to the stage that handles it, as an event of its own."""
        _, namespace = self._modules[frame.f_code.co_filename]
        module, _ = self._modules[frame.f_code.co_filename]
        function = module.handlers[(failure.flow, handler)]
        local = frame.f_locals
        event = (
            local.get(failure.place.event)
            if failure.place.event
            else _text_of(failure.message.value())
        )
        given = {
            parameter: local[variable]
            for name, parameter in function.parameters.items()
            if (variable := failure.place.variables.get(name)) in local
        }
        try:
            namespace[function.name](failure.message, self._event_of(failure, event), **given)
        except Exception as error:  # the handler's own failure follows its own on_error
            self.failed(error, failure.message)

    def _event_of(self, failure: Failure, event: Any) -> dict[str, Any]:
        message = failure.message
        return {
            "error": {
                "flow": failure.flow,
                "stage": failure.stage,
                "type": failure.kind,
                "message": failure.detail,
                "time": self._clock.now_ms(),
            },
            "event": event,
            "source": {
                "topic": message.topic(),
                "partition": message.partition(),
                "offset": message.offset(),
                "run": (header(message, RUN) or run_of(message).encode()).decode(),
            },
        }

    def _dead_letter(self, failure: Failure) -> None:
        topic = self._dead_letter_topics[failure.flow]
        message = failure.message
        self._log.warning(
            (failure.flow, failure.stage),
            f"flow '{failure.flow}': stage '{failure.stage}' failed on {failure.where}: {failure.text};"
            f" the record is in '{topic}'",
        )
        headers = (plain_headers(message) or []) + self._dead_letter_headers(failure)
        timestamp = max(message.timestamp()[1], 0)
        value = message.value()
        try:
            self._produce(topic, value, key=message.key(), timestamp=timestamp, headers=headers)
        except Exception as error:
            self._raise_unless_record(error)
            # Larger than this producer may write: the record stays where it is, and the dead letter tells where.
            omitted: Headers = [("headrace-value-omitted", str(len(value or b"")).encode())]
            self._produce(
                topic, None, key=message.key(), timestamp=timestamp, headers=headers + omitted
            )

    def _dead_letter_headers(self, failure: Failure) -> Headers:
        message, node = failure.message, failure.place.node
        told = {
            "headrace-flow": failure.flow,
            "headrace-flow-version": failure.place.entry.graph.flow.version or "",
            "headrace-stage": node.name,
            "headrace-action": node.stage.action,
            "headrace-error-type": failure.kind,
            "headrace-error": failure.detail,
            "headrace-failed-at": str(self._clock.now_ms()),
            "headrace-source-topic": message.topic(),
            "headrace-source-partition": str(message.partition()),
            "headrace-source-offset": str(message.offset()),
            "headrace-source-timestamp": str(message.timestamp()[1]),
        }
        own: Headers = [(name, value.encode()) for name, value in told.items()]
        kept: Headers = [
            p
            for p in message.headers() or ()
            if p[0] in (RUN, "headrace-crossing", "headrace-trigger")
        ]
        return own + (kept or [(RUN, run_of(message).encode())])


def _text_of(value: bytes | None) -> str | None:
    text = decode_key(value)
    return text if text is None or isinstance(text, str) else text.decode("latin-1")
