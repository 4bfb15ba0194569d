"""What becomes of a record that fails: found out after the fact, at no cost to those that do not."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from types import FrameType
from typing import Any

import orjson

from headrace.runtime.clock import Clock
from headrace.runtime.codegen import Entry, LinePlace, Module
from headrace.runtime.contracts.broker import Broker, Headers, Message, Reaction
from headrace.runtime.errors import (
    FencedError,
    FlowStoppedError,
    RestartError,
    RetriableError,
    SettingsError,
    StoreCorruptError,
    TransactionError,
)
from headrace.runtime.limit import Limit
from headrace.runtime.plan import Plan
from headrace.runtime.plan.model import letters_topic
from headrace.runtime.task.dead_letter_limit import DeadLetterLimit
from headrace.runtime.task.emission import Emission
from headrace.runtime.task.failure import Failure, explained, generated_frame
from headrace.runtime.task.log_limit import LogLimit
from headrace.runtime.task.records import (
    REPLAY,
    RUN,
    SOURCE_TOPIC,
    decode_key,
    header,
    origin_run,
    plain_headers,
    run_of,
)
from headrace.runtime.task.stage_event import CARRIED, VALUE, stage_event

logger = logging.getLogger(__name__)

NOT_THE_RECORD = (
    RestartError,
    FencedError,
    TransactionError,
    RetriableError,
    StoreCorruptError,
    SettingsError,
)


class Failures:
    """Carries out `on_error`. One per program; called from generated code, on the member's thread.

    `produce` is the blocking form that waits for room in the queue; `secrets` are values that must not be told. What headers tell
    of a record's origin holds in `link_topics` and `replay_topics` only: elsewhere somebody else may have written them.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        clock: Clock,
        produce: Callable[..., None],
        dead_letter_topics: Mapping[str, str],
        link_topics: Collection[str],
        replay_topics: Collection[str],
        secrets: Collection[str],
        dead_letter_limit: Limit | None = None,
    ) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.bound: Mapping[str, Mapping[str, Any]] = {}
        """Per module, by its file name, the functions bound to the task whose records are processed."""
        self._broker = broker
        self._clock = clock
        self._produce = produce
        self._dead_letter_topics = dead_letter_topics
        self._replay_topics = frozenset(replay_topics)
        self._own_topics = self._replay_topics.union(link_topics)
        self._secrets = secrets
        self._modules: dict[str, Module] = {}
        self._namespaces: dict[str, Mapping[str, Any]] = {}
        self._log = LogLimit(clock)
        self._limit = DeadLetterLimit(dead_letter_limit, clock)

    def add(self, module: Module, namespace: Mapping[str, Any]) -> None:
        """Make a module's failures known by the file name of its frames."""
        self._modules[module.file_name] = module
        self._namespaces[module.file_name] = namespace

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
        found = generated_frame(error, self._modules)
        if found is None:
            raise error
        traceback, module = found
        place = place or module.lines.get(traceback.tb_lineno)
        assert place, f"{module.file_name}:{traceback.tb_lineno} belongs to no stage"
        failure = explained(
            error,
            message,
            place,
            traceback,
            module,
            is_refused=self._broker.reaction(error) is Reaction.RECORD,
            secrets=self._secrets,
        )
        policy = place.node.on_error
        self.counts[
            (failure.flow, failure.stage, policy if place.node.handler is None else "stage")
        ] += 1
        if place.node.handler is not None:
            self._hand_over(failure, traceback.tb_frame, place.node.handler)
        elif policy == "fail":
            error.add_note(f"in stage '{failure.stage}' of flow '{failure.flow}'")
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
            self._dead_letter(failure, traceback.tb_frame)

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

    def _hand_over(self, failure: Failure, frame: FrameType, handler: str) -> None:
        """Give the error to the stage that handles it, as an event of its own."""
        module = self._modules[frame.f_code.co_filename]
        file_name = frame.f_code.co_filename
        namespace = self.bound.get(file_name) or self._namespaces[file_name]
        function = module.handlers[failure.place.entry.key(handler)]
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
                "run": self._run_of(message),
            },
        }

    def _dead_letter(self, failure: Failure, frame: FrameType) -> None:
        topic = self._dead_letter_topics[failure.flow]
        message = failure.message
        self._limit.count(failure)
        self._log.warning(
            (failure.flow, failure.stage),
            f"flow '{failure.flow}': stage '{failure.stage}' failed on {failure.where}: {failure.text};"
            f" the record is in '{topic}'",
        )
        told, timestamp = self._dead_letter_headers(failure), max(message.timestamp()[1], 0)
        attempts: list[tuple[bytes | None, bytes | None, int, Headers]] = []
        came = stage_event(failure.place, frame.f_locals, message)
        if came is not None:
            entering: Headers = [*came.headers, *told, (VALUE, b"event")]
            attempts.append((came.value, came.key, max(came.timestamp_ms, 0), entering))
        theirs, value = plain_headers(message) or [], message.value()
        carried = self._carried(message)
        if isinstance(message, Emission) or message.topic() in self._replay_topics:
            # What a keyed stage sends on is in no topic, and what was sent back is not what the told source holds: without
            # the event, nobody could tell what has failed.
            value = _value_of(frame.f_locals.get(failure.place.event))
            carried.append((VALUE, b"shown"))
        omitted: Headers = [("headrace-value-omitted", str(len(value or b"")).encode())]
        if value is not None or message.value() is None:
            attempts.append((value, message.key(), timestamp, theirs + told + carried))
        # The later ones are for records larger than this producer may write: they stay where they are, and it tells where.
        attempts.append((None, message.key(), timestamp, theirs + told + omitted + carried))
        for value, key, timestamp_ms, headers in attempts:
            try:
                self._produce(topic, value, key=key, timestamp=timestamp_ms, headers=headers)
            except Exception as error:
                self._raise_unless_record(error)
            else:
                return
        self._produce(topic, None, key=None, timestamp=timestamp, headers=told + omitted)

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
        }
        source = {
            SOURCE_TOPIC: message.topic(),
            "headrace-source-partition": str(message.partition()),
            "headrace-source-offset": str(message.offset()),
            "headrace-source-timestamp": str(message.timestamp()[1]),
        }
        own: Headers = [(n, v.encode(errors="backslashreplace")) for n, v in told.items()]
        is_sent_back = message.topic() in self._replay_topics  # and tells where it once came from
        for name, text in source.items():
            told_before = header(message, name) if is_sent_back else None
            own.append((name, told_before or text.encode()))
        return [*own, (RUN, self._run_of(message).encode())]

    def _run_of(self, message: Message) -> str:
        return origin_run(message) if message.topic() in self._own_topics else run_of(message)

    def sent_back(self, message: Message, plan: Plan, stage: str) -> None:
        """An event was sent back to a stage that this worker's document does not have there: it is a dead letter again."""
        text = f"the flow that runs has no stage '{stage}' where events are sent back to it"
        logger.warning("flow '%s': %s; the event is a dead letter again", plan.name, text)
        told: Headers = [("headrace-error-type", b"RecordError"), ("headrace-error", text.encode())]
        names = {name for name, _ in told}
        kept = [pair for pair in message.headers() or () if pair[0] not in {*names, REPLAY}]
        self._produce(
            letters_topic(plan.prefix, plan.graph.flow),
            message.value(),
            key=message.key(),
            timestamp=max(message.timestamp()[1], 0),
            headers=[*kept, *told, (VALUE, b"event")],
        )

    def _carried(self, message: Message) -> Headers:
        """What a record of a link topic needs besides to be processed again."""
        if message.topic() not in self._own_topics:
            return []
        return [pair for pair in message.headers() or () if pair[0] in CARRIED]


def _value_of(event: Any) -> bytes | None:
    """An event as a dead letter carries it; None where it cannot be written, as its error tells."""
    try:
        return event if isinstance(event, bytes) else orjson.dumps(event)
    except TypeError:
        return None


def _text_of(value: bytes | None) -> str | None:
    text = decode_key(value)
    return text if text is None or isinstance(text, str) else text.decode("latin-1")
