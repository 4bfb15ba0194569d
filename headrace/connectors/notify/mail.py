"""Mails of records."""

import hashlib
from collections.abc import Mapping
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

from headrace.runtime.contracts.call import Call
from headrace.runtime.errors import RecordError
from headrace.runtime.expression.errors import described


def mail_of(call: Call, moment: Any) -> EmailMessage:
    """The mail of a record. Its id is the same when the record comes again, so that a mailbox can tell.

    Raises:
        RecordError: the record gives no addresses, or text that no header can hold.
    """
    given = call.arguments
    mail = EmailMessage()
    try:
        mail["From"] = _address(given["sender"], "from")
        for name, header in (("to", "To"), ("cc", "Cc"), ("bcc", "Bcc"), ("reply_to", "Reply-To")):
            found = addresses(given, name)
            if found:
                mail[header] = ", ".join(found)
        mail["Subject"] = _text(given["subject"], "subject")
        digest = hashlib.blake2b(call.id.encode(), digest_size=16).hexdigest()
        mail["Message-ID"] = f"<{digest}@headrace.invalid>"
        mail["Date"] = format_datetime(moment)
    except (ValueError, MessageError):
        raise RecordError("email: a line break, or another sign that no header can hold") from None
    if not (mail["To"] or mail["Cc"] or mail["Bcc"]):
        raise RecordError("email.to: there is no address")
    mail.set_content(_text(given["text"], "text"))
    if given.get("html") is not None:
        mail.add_alternative(_text(given["html"], "html"), subtype="html")
    return mail


def addresses(given: Mapping[str, Any], name: str) -> list[str]:
    """One address, or several in a list."""
    found = given.get(name)
    if found is None:
        return []
    return [_address(one, name) for one in (found if isinstance(found, list) else [found]) if one]


def _address(value: Any, name: str) -> str:
    text = _text(value, name)
    _, address = parseaddr(text)
    if "\r" in text or "\n" in text or "@" not in address or "," in text:
        raise RecordError(f"email.{name}: holds what is no single address, such as ada@example.com")
    return text


def _text(value: Any, name: str) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    raise RecordError(f"email.{name}: must be text, found {described(value)}")
