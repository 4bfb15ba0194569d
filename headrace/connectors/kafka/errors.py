"""The client's error codes, sorted by the reaction that each asks for."""

# ruff: noqa: SLF001 # public error codes of the client begin with an underscore

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from headrace.runtime.contracts.broker import Reaction, TopicPartition
from headrace.runtime.errors import (
    BrokerUnavailableError,
    DataLossError,
    FencedError,
    HeadraceError,
    RestartError,
    TransactionError,
)

ANSWER_TIMEOUT_S = 10.0

UNAVAILABLE = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
PRODUCER_FENCED = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
    }
)
# The group has gone on without this member.
GENERATION_OVER = frozenset(
    {
        KafkaError._ASSIGNMENT_LOST,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.UNKNOWN_MEMBER_ID,
    }
)
# A rebalance is under way: nothing is committed now, but the member is still one.
REBALANCING = frozenset({KafkaError.REBALANCE_IN_PROGRESS, KafkaError._IN_PROGRESS})
INSTANCE_TAKEN = frozenset({KafkaError.FENCED_INSTANCE_ID, KafkaError.UNRELEASED_INSTANCE_ID})
PROTOCOL_REFUSED = frozenset(
    {
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.GROUP_ID_NOT_FOUND,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.UNSUPPORTED_VERSION,
    }
)
REFUSED_FOR_GOOD = frozenset(
    {
        KafkaError._BAD_COMPRESSION,
        KafkaError._BAD_MSG,
        KafkaError._FATAL,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_REGULAR_EXPRESSION,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_VERSION,
    }
)
_RECORD_REFUSED = frozenset(
    {
        KafkaError._INVALID_ARG,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.INVALID_RECORD,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


def kafka_error(exception: KafkaException) -> KafkaError:
    """The error inside an exception of the client."""
    error = exception.args[0] if exception.args else None
    if isinstance(error, KafkaError):
        return error
    return KafkaError(KafkaError._FAIL, str(exception))


def fatal_cause(error: KafkaError) -> KafkaError:
    """What a consumer's fatal error is about, as far as the engine asks.

    The client says it in the text only, in the words that belong to the code.
    """
    for code in sorted(INSTANCE_TAKEN | PROTOCOL_REFUSED | REFUSED_FOR_GOOD - {KafkaError._FATAL}):
        if KafkaError(code).str() in error.str():
            return KafkaError(code, error.str(), fatal=True)
    return error


def unavailable(brokers: str, timeout_s: float, reason: str = "") -> BrokerUnavailableError:
    """The error for brokers that did not answer in time."""
    cause = f" ({reason})" if reason else ""
    return BrokerUnavailableError(
        f"no broker answered at {brokers} within {timeout_s:g} s{cause}; "
        "start one with `headrace broker start` or set brokers"
    )


def transaction_failure(error: KafkaError, doing: str, detail: str = "") -> HeadraceError:
    """What an error out of a transaction method asks for, except when time is over.

    `doing` names the step and the producer; `detail` is added where known, such as a record that
    was not delivered.
    """
    code = error.code()
    reason = error.str() + (f"; {detail}" if detail else "")
    if code in REFUSED_FOR_GOOD and code != KafkaError._FATAL:
        return RestartError(f"could not {doing}: {reason}")
    if code in PRODUCER_FENCED:
        return FencedError(
            f"could not {doing}: a newer producer has this transactional id ({reason})"
        )
    if code in GENERATION_OVER:
        return FencedError(
            f"could not {doing}: the group has gone on without this member ({reason}); "
            "abort the transaction and join anew"
        )
    if error.fatal() or code == KafkaError._FATAL:
        return FencedError(f"could not {doing}: this producer cannot go on ({reason})")
    return TransactionError(f"could not {doing}: {reason}")


def is_too_large(error: object) -> bool:
    """See `contracts.broker.Broker.is_too_large`."""
    inner = kafka_error(error) if isinstance(error, KafkaException) else error
    return isinstance(inner, KafkaError) and inner.code() in _TOO_LARGE


def reaction(error: object) -> Reaction | None:
    """See `contracts.broker.Broker.reaction`."""
    inner = kafka_error(error) if isinstance(error, KafkaException) else error
    if not isinstance(inner, KafkaError):
        return None
    code = inner.code()
    if code in _RECORD_REFUSED:
        return Reaction.RECORD
    if code in PRODUCER_FENCED or code == KafkaError._FATAL or inner.fatal():
        return Reaction.FENCED
    if code == KafkaError._STATE or inner.txn_requires_abort():
        return Reaction.TRANSACTION
    return Reaction.RESTART


def missing_topic(reader: str, topic: str | None) -> RestartError:
    """The error for a topic that somebody reads (`group 'orders'`) and that is not there, or not any more."""
    return RestartError(
        f"topic '{topic}' does not exist, and {reader} reads it; "
        "was it deleted? create it and start again"
    )


def lost_records(
    client: Consumer,
    reader: str,
    partition: TopicPartition,
    position: int | None,
    consequence: str,
) -> DataLossError:
    """The error for a position that the broker does not hold; asks for what it holds."""
    try:
        low, high = client.get_watermark_offsets(
            ClientPartition(*partition), timeout=ANSWER_TIMEOUT_S
        )
        held = f"the broker holds {low} to {high}"
    except KafkaException:
        held = "the broker no longer holds it"
    return DataLossError(
        f"{reader} wants to read {partition} from offset {position}, "
        f"but {held}; records were deleted before {consequence}"
    )
