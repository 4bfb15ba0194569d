"""Why an engine ended, and what helps."""

from collections.abc import Mapping
from typing import Any

from headrace.connectors.cdc.debezium.process import EngineProcess
from headrace.connectors.cdc.debezium.redaction import Redaction
from headrace.connectors.cdc.errors import CaptureError, ChangesLostError, DatabaseUnavailableError

ANEW = (
    "stop the worker and run `headrace cdc drop-slot`, which also forgets the position: the next start begins anew with what the"
    " tables hold then"
)
"""The way on after changes were lost."""
_DENIED = (
    "password authentication failed",
    "access denied",
    "no pg_hba.conf entry",
    "must be superuser or replication role",
    "permission denied",
)
_LOST = (
    "no longer available on the server",
    "can no longer get changes from replication slot",
    "has been invalidated",
    "requested wal segment",
    "is not available on the server",
)
_MISSING = ("noclassdeffounderror", "classnotfoundexception")
_PASSING = (
    "refused",
    "unable to connect",
    "could not connect",
    "terminating connection",
    "connection to",
    "connection reset",
    "connection attempt failed",
    "communications link failure",
    "database connection failed",
    "starting up",
    "shutting down",
    "in recovery mode",
    "unexpected eof",
    "eofexception",
    "socketexception",
    "an i/o error occurred",
    "broken pipe",
    "timed out",
    "timeout",
    "is active for pid",
    "unknownhostexception",
    "too many clients",
    "remaining connection slots",
    "this connection has been closed",
    "connection is closed",
    "stream has been closed",
    "couldn't obtain encoding",
    "deadlock",
)
_AHEAD = "slot_ahead"
_OURS = "a batch was not committed"


def explained(
    end: Mapping[str, Any] | None, process: EngineProcess, redaction: Redaction
) -> Exception:
    """The error that the end of an engine asks for; its message holds no secret.

    `end` is what the engine said of itself, None where its process ended without a word.
    """
    if end is None:
        words = process.last_words()
        reason = f": {words[0]}" if words else ""
        return DatabaseUnavailableError(
            redaction(
                f"the process of the Debezium engine ended with code {process.exit_code}{reason}"
            )
        )
    text = redaction(" ".join(str(_reason(end)).split()))
    low = text.lower()
    if end["message"] == _OURS:
        return DatabaseUnavailableError(f"the Debezium engine ended: {text}")
    if end["message"] == _AHEAD:
        return ChangesLostError(_AHEAD, f"{text}; only a snapshot anew is right: {ANEW}")
    if any(words in low for words in _LOST):
        return ChangesLostError(
            "slot_lost",
            f"the database no longer has changes that were not captured: {text}; only a snapshot anew is right ('snapshot:"
            f" when_needed' takes one): {ANEW}",
        )
    if "publication" in low and "does not exist" in low:
        return ChangesLostError(
            "publication_missing",
            f"the publication was dropped, and what was changed since cannot be read: {text}; only a snapshot anew is"
            f" right: {ANEW}",
        )
    if any(words in low for words in _DENIED):
        return CaptureError("access_denied", f"the database refuses this user: {text}")
    if any(words in low for words in _PASSING):
        said = next((one for one in process.last_words() if text not in one), "")
        more = redaction(f"; before that it said: {said}") if "closed" in low and said else ""
        return DatabaseUnavailableError(f"the Debezium engine ended: {text}{more}")
    if any(words in low for words in _MISSING):
        return CaptureError(
            "class_missing",
            f"a class is missing: {text}; see 'connector_class', and name jars in 'debezium.class_path'",
        )
    if end["success"]:
        return CaptureError("engine_ended", "the connector has read everything and ended")
    return CaptureError("engine_failed", f"the Debezium engine failed: {text}")


def _reason(end: Mapping[str, Any]) -> str:
    """The root cause; and what the engine says where that says more, as it does when settings are refused."""
    cause, message = str(end["cause"]), str(end["message"])
    if message == _AHEAD:
        return cause
    if cause and cause.rpartition(": ")[2] in message:
        return message
    return f"{message}: {cause}" if cause and message and "null" in cause else cause or message
