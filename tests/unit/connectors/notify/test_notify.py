"""Messages to people, against servers."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from starlette.responses import Response

from headrace.connectors.notify.action import Notify
from headrace.connectors.notify.mail import mail_of
from headrace.runtime.contracts.call import CallFailedError, Outcome
from headrace.runtime.errors import RecordError, SettingsError
from tests.unit.connectors.calling import Calling, action_of, problems_of
from tests.unit.connectors.http_call.serving import Answering, Server, serving

EVENT = {"id": 7, "who": "Ada", "mail": "ada@example.com"}
MAIL = {
    "from": "flow@example.com",
    "to": "${event.mail}",
    "subject": "Order ${event.id}",
    "text": "Hi ${event.who}",
}


def told(config: dict[str, Any], answer: Answering | None = None) -> tuple[Outcome, Server]:
    async def call() -> tuple[Outcome, Server]:
        async with serving(answer) as server:
            slack = {"slack": {"url": "${secret.URL}", **config}}
            async with Calling(Notify, slack, {"URL": f"{server.url}/hush/xyz"}) as calling:
                return (await calling.outcomes(EVENT))[0], server

    return asyncio.run(call())


def test_a_message_is_posted_with_its_blocks() -> None:
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "*${event.who}*"}}]
    config = {"text": "Order ${event.id}", "blocks": blocks, "fields": {"username": "flow"}}

    outcome, server = told(config)

    (asked,) = server.asked
    assert list(outcome.events) == [EVENT]
    assert (asked.method, asked.path) == ("POST", "/hush/xyz")
    assert orjson.loads(asked.body) == {
        "username": "flow",
        "text": "Order 7",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*Ada*"}}],
    }


def test_a_webhook_that_is_busy_is_temporary_and_its_url_stays_secret() -> None:
    outcome, _ = told({"text": "x"}, lambda _: Response("slow", 429, {"retry-after": "3"}))

    error = outcome.error
    assert isinstance(error, CallFailedError)
    assert (error.is_temporary, error.retry_after_s) == (True, 3.0)
    assert "hush" not in str(error)


def test_a_webhook_url_must_be_one() -> None:
    with pytest.raises(SettingsError, match=r"slack\.url: must be an absolute URL") as caught:
        Calling(Notify, {"slack": {"url": "${secret.URL}", "text": "x"}}, {"URL": "hush"})

    assert "hush" not in str(caught.value)


class Sink:
    """Takes mails; refuses recipients and contents where told to."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.refuses: dict[str, str] = {}
        self.answer = "250 OK"

    async def handle_RCPT(  # noqa: N802 # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 # likewise
        if self.answer.startswith("250"):
            self.mails.append(envelope)
        return self.answer


class _Controller(Controller):
    """Takes the port that the system gives."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[attr-defined] # a server of asyncio
        super()._trigger_server()  # type: ignore[no-untyped-call] # aiosmtpd has no types there


@contextmanager
def smtp(sink: Sink, **given: Any) -> Iterator[int]:
    controller = _Controller(sink, hostname="127.0.0.1", port=0, **given)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def mailed(sink: Sink, *events: Any, **config: Any) -> list[Outcome]:
    with smtp(sink) as port:
        email = {"server": "127.0.0.1", "port": port, "tls": "none", **MAIL, **config}

        async def call() -> list[Outcome]:
            async with Calling(Notify, {"email": email}) as calling:
                return await calling.outcomes(*(events or (EVENT,)))

        return asyncio.run(call())


def test_a_mail_is_sent() -> None:
    sink = Sink()

    (outcome,) = mailed(sink, cc=["b@example.com"], bcc="c@example.com", html="<b>${event.who}</b>")

    (mail,) = sink.mails
    text = str(mail.content, "utf-8")  # type: ignore[arg-type] # bytes, as decode_data is off
    assert list(outcome.events) == [EVENT]
    assert sorted(mail.rcpt_tos) == ["ada@example.com", "b@example.com", "c@example.com"]
    assert "Subject: Order 7" in text
    assert "Hi Ada" in text
    assert "<b>Ada</b>" in text
    assert "c@example.com" not in text


def test_the_mails_of_a_batch_are_judged_one_by_one() -> None:
    sink = Sink()
    sink.refuses = {"no@example.com": "550 unknown", "later@example.com": "451 busy"}
    names = ("a", "no", "later", "b")

    made = mailed(sink, *({**EVENT, "mail": f"{name}@example.com"} for name in names))

    assert [one.error is None for one in made] == [True, False, False, True]
    assert [getattr(one.error, "is_temporary", None) for one in made] == [None, False, True, None]
    assert [mail.rcpt_tos for mail in sink.mails] == [["a@example.com"], ["b@example.com"]]
    assert "no@" not in str(made[1].error)


def test_a_mail_that_only_some_get_is_not_sent_again() -> None:
    sink = Sink()
    sink.refuses = {"no@example.com": "550 unknown"}

    (made,) = mailed(sink, to=["a@example.com", "no@example.com"])

    assert isinstance(made.error, CallFailedError)
    assert not made.error.is_temporary
    assert "refuses 1 of the recipients" in str(made.error)


@pytest.mark.parametrize(("answer", "is_temporary"), [("452 full", True), ("554 spam", False)])
def test_a_mail_that_is_refused_is_judged_by_its_code(answer: str, is_temporary: bool) -> None:
    sink = Sink()
    sink.answer = answer

    (made,) = mailed(sink)

    assert isinstance(made.error, CallFailedError)
    assert (made.error.is_temporary, made.error.status) == (is_temporary, int(answer[:3]))


def test_a_server_that_is_not_there_is_temporary() -> None:
    async def call() -> Outcome:
        email = {"server": "127.0.0.1", "port": 1, "tls": "none", **MAIL}
        async with Calling(Notify, {"email": email}) as calling:
            return (await calling.outcomes(EVENT))[0]

    error = asyncio.run(call()).error

    assert isinstance(error, CallFailedError)
    assert error.is_temporary
    assert str(error) == "mail server 127.0.0.1:1: connection refused"


def test_a_server_without_encryption_gets_no_mail() -> None:
    sink = Sink()

    (made,) = mailed(sink, tls="starttls")

    assert "does not offer what is asked for; see 'tls'" in str(made.error)
    assert sink.mails == []


def test_mails_are_encrypted_and_the_login_is_told(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    logins: list[tuple[str, str]] = []

    def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"right", handled=False)

    def send(password: str, ca: bool = True) -> Outcome:
        sink = Sink()
        with smtp(sink, tls_context=context, require_starttls=True, authenticator=login) as port:
            email = {
                "server": "127.0.0.1",
                "port": port,
                "user": "me",
                "password": "${secret.P}",
                **MAIL,
            }
            if ca:
                email["ca"] = str(tmp_path / "ca.pem")

            async def call() -> Outcome:
                async with Calling(Notify, {"email": email}, {"P": password}) as calling:
                    return (await calling.outcomes(EVENT))[0]

            return asyncio.run(call())

    right, wrong, unknown = send("right"), send("hush"), send("right", ca=False)

    assert right.error is None
    assert "refuses the login (535)" in str(wrong.error)
    assert "hush" not in str(wrong.error)
    assert "the certificate is refused" in str(unknown.error)
    assert set(logins) == {("me", "right"), ("me", "hush")}


def mail(**fields: Any) -> Any:
    calling = object.__new__(Calling)
    calling.action = action_of(Notify, {"email": {"server": "a", **MAIL, **fields}})
    calling.secrets, calling._count = {}, 0
    return mail_of(calling.call(EVENT), datetime(2026, 1, 31, tzinfo=UTC))


def test_a_mail_has_the_same_id_when_its_record_comes_again() -> None:
    assert mail()["Message-ID"] == mail()["Message-ID"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"to": "ada"}, "email.to: holds what is no single address"),
        ({"to": "a@b.c, d@e.f"}, "email.to: holds what is no single address"),
        ({"to": "a@b.c\nBcc: x@y.z"}, "email.to: holds"),
        ({"to": []}, "email.to: there is no address"),
        ({"subject": "a\nBcc: x@y.z"}, "a line break"),
        ({"text": ["a"]}, "email.text: must be text, found a list"),
    ],
)
def test_a_record_cannot_change_who_gets_a_mail(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        mail(**fields)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "needs exactly one of 'slack' and 'email'"),
        ({"email": {"server": "a", **MAIL, "user": "u"}}, "email: 'user' and 'password' go"),
        (
            {"email": {"server": "a", **MAIL, "user": "u", "password": "p", "tls": "none"}},
            "email: a password needs an encrypted connection",
        ),
        ({"slack": {"url": "http://a", "text": "x", "auth": {}}}, "slack: auth: needs exactly"),
    ],
)
def test_a_wrong_config_is_explained(config: dict[str, Any], problem: str) -> None:
    found = problems_of(Notify, config)

    assert any(text.startswith(problem) for text in found), found
