"""`notify`: tells people about a record."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from headrace.connectors.connection import settings_of
from headrace.connectors.notify.config import EmailConfig, NotifyConfig
from headrace.connectors.notify.email_caller import EmailCaller
from headrace.connectors.notify.slack_caller import SlackCaller
from headrace.runtime.contracts.call import BatchAction, Caller, Opening
from headrace.runtime.expression import Template

_OF_MESSAGE: Final = ("sender", "to", "cc", "bcc", "reply_to", "subject", "text", "html")
_OF_SERVER: Final = ("server", "ca", "user", "password")


class Notify(BatchAction):
    """Sends a message to a Slack-style webhook or by e-mail, and passes the event on as it is."""

    Config = NotifyConfig
    config: NotifyConfig

    @property
    def batch_size(self) -> int:
        """Mails of a batch share a connection; a message to a webhook is a request of its own."""
        return 1 if self.config.slack is not None else 20

    @property
    def concurrency(self) -> int:
        return 4

    def problems(self) -> Iterable[str]:
        config = self.config
        if (config.slack is None) == (config.email is None):
            yield "needs exactly one of 'slack' and 'email'"
            return
        if config.slack is not None:
            yield from (f"slack: {text}" for text in config.slack.connection_problems())
        if config.email is not None:
            yield from _problems_of(config.email)

    def summary(self) -> str:
        return "slack" if self.config.slack is not None else "e-mail"

    def arguments(self) -> Mapping[str, Template]:
        names = ("text", "blocks", "fields") if self.config.slack is not None else _OF_MESSAGE
        given = {name: getattr(self._channel, name) for name in names}
        return {name: part for name, part in given.items() if part is not None}

    def settings(self) -> Mapping[str, Template]:
        if self.config.slack is not None:
            slack = self.config.slack
            return {**slack.connection_settings(), **settings_of(slack.url, "url")}
        return {
            name: part for name in _OF_SERVER if (part := getattr(self._channel, name)) is not None
        }

    def caller(self, opening: Opening) -> Caller:
        if self.config.slack is not None:
            return SlackCaller(self.config.slack, opening)
        assert self.config.email is not None
        return EmailCaller(self.config.email, opening)

    @property
    def _channel(self) -> Any:
        return self.config.slack if self.config.slack is not None else self.config.email


def _problems_of(email: EmailConfig) -> Iterable[str]:
    if (email.user is None) != (email.password is None):
        yield "email: 'user' and 'password' go together"
    if email.password is not None and email.tls == "none":
        yield "email: a password needs an encrypted connection; remove `tls: none`"
