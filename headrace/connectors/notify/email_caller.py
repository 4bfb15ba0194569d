"""Sends mails by SMTP, in a thread."""

import asyncio
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from headrace.connectors.connection import text_setting
from headrace.connectors.notify.config import EmailConfig
from headrace.connectors.notify.mail import mail_of
from headrace.runtime.contracts.call import Call, Caller, CallFailedError, Opening, Outcome
from headrace.runtime.errors import RecordError, SettingsError

_PORTS: Mapping[str, int] = {"starttls": 587, "tls": 465, "none": 25}


class EmailCaller(Caller):
    """The mails of a batch go over one connection, which is then closed: servers do not wait for long."""

    def __init__(self, config: EmailConfig, opening: Opening) -> None:
        settings = opening.settings
        self._config = config
        self._clock = opening.clock
        self._host = text_setting("email.server", settings["server"])
        self._port = config.port or _PORTS[config.tls]
        self._user = settings.get("user")
        self._password = settings.get("password")
        try:
            self._tls = ssl.create_default_context(cafile=settings.get("ca"))
        except (OSError, ssl.SSLError) as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise SettingsError(f"email.ca: the file cannot be read as PEM: {reason}") from error

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        moment = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        mails: list[EmailMessage | RecordError] = [_mail_or_error(call, moment) for call in calls]
        sent = iter(
            await asyncio.to_thread(
                self._send, [one for one in mails if isinstance(one, EmailMessage)]
            )
        )
        outcomes = []
        for call, mail in zip(calls, mails, strict=True):
            error = mail if isinstance(mail, RecordError) else next(sent)
            outcomes.append(Outcome((call.event,)) if error is None else Outcome(error=error))
        return outcomes

    # ---- in a thread

    def _send(self, mails: Sequence[EmailMessage]) -> list[CallFailedError | None]:
        """The failure of each mail, if any."""
        if not mails:
            return []
        results: list[CallFailedError | None] = []
        server: smtplib.SMTP | None = None
        try:
            for mail in mails:
                try:
                    server = server or self._connected()
                    results.append(_refusals(server.send_message(mail), self._where))
                except (smtplib.SMTPException, OSError) as error:
                    results.append(self._failure(error))
                    if not isinstance(
                        error, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused
                    ):
                        _close(server)
                        server = None
        finally:
            _close(server)
        return results

    def _connected(self) -> smtplib.SMTP:
        timeout_s = self._config.timeout.total_seconds()
        server: smtplib.SMTP
        if self._config.tls == "tls":
            server = smtplib.SMTP_SSL(self._host, self._port, timeout=timeout_s, context=self._tls)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=timeout_s)
        try:
            if self._config.tls == "starttls":
                server.starttls(context=self._tls)
            if self._user is not None:
                server.login(str(self._user), str(self._password))
        except BaseException:
            _close(server)
            raise
        return server

    @property
    def _where(self) -> str:
        return f"mail server {self._host}:{self._port}"

    def _failure(self, error: Exception) -> CallFailedError:
        where = self._where
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            codes = [code for code, _ in error.recipients.values()]
            failure = CallFailedError(
                f"{where} refuses every recipient ({', '.join(map(str, sorted(set(codes))))})",
                is_temporary=all(400 <= code < 500 for code in codes),
                status=codes[0],
            )
        elif isinstance(error, smtplib.SMTPAuthenticationError):
            failure = CallFailedError(
                f"{where} refuses the login ({error.smtp_code}); see 'user' and 'password'",
                is_temporary=400 <= error.smtp_code < 500,
                status=error.smtp_code,
            )
        elif isinstance(error, smtplib.SMTPResponseException):
            failure = CallFailedError(
                f"{where} refuses the mail ({error.smtp_code})",
                is_temporary=400 <= error.smtp_code < 500,
                status=error.smtp_code,
            )
        elif isinstance(error, smtplib.SMTPNotSupportedError):
            failure = CallFailedError(
                f"{where} does not offer what is asked for; see 'tls' and 'user'"
            )
        elif isinstance(error, ssl.SSLCertVerificationError):
            failure = CallFailedError(
                f"{where}: the certificate is refused: {error.verify_message}; see 'ca'"
            )
        else:
            reason = getattr(error, "strerror", None) or "the connection broke"
            failure = CallFailedError(f"{where}: {str(reason).lower()}", is_temporary=True)
        failure.add_note(f"{failure}: {error}")
        return failure


def _mail_or_error(call: Call, moment: datetime) -> EmailMessage | RecordError:
    try:
        return mail_of(call, moment)
    except RecordError as error:
        return error


def _refusals(refused: Mapping[str, Any], where: str) -> CallFailedError | None:
    """Not to be tried again: the others have their mail."""
    if not refused:
        return None
    failure = CallFailedError(
        f"{where} refuses {len(refused)} of the recipients; the others got the mail"
    )
    failure.add_note(f"{failure}: {', '.join(refused)}")
    return failure


def _close(server: smtplib.SMTP | None) -> None:
    if server is not None:
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()
