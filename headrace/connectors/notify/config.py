"""The config of `notify`."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from headrace.connectors.http_call.connection_config import HttpConnectionConfig
from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.duration import Duration
from headrace.runtime.expression import Template


class SlackConfig(HttpConnectionConfig):
    """An incoming webhook of Slack, or of what understands the same messages, such as Mattermost."""

    url: Template = Field(
        description="the webhook's URL, which is a secret: ${secret.SLACK_URL}; may mention env and secret"
    )
    text: Template = Field(description="the message; with `blocks`, what notifications show")
    blocks: Template | None = Field(None, description="a list of Slack's layout blocks")
    fields: Template | None = Field(
        None, description="a map of further fields of the message, such as username"
    )


class EmailConfig(ActionConfig):
    """A mail by SMTP. Settings of the connection may mention `env` and `secret` only."""

    server: Template = Field(description="host of the mail server")
    port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="its port; otherwise 587, with `tls: tls` 465, without 25",
    )
    tls: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="encryption: starttls (asked for and needed), tls (from the start) or none",
    )
    ca: Template | None = Field(
        None, description="file with the authorities to trust (PEM), in place of the system's"
    )
    user: Template | None = Field(None, description="the user")
    password: Template | None = Field(None, description="the password")
    sender: Template = Field(alias="from", description="the address it is from")
    to: Template = Field(description="an address, or a list of them")
    cc: Template | None = Field(None, description="addresses that get a copy")
    bcc: Template | None = Field(None, description="addresses that get a copy unseen")
    reply_to: Template | None = Field(None, description="where answers go")
    subject: Template = Field(description="the subject; one line")
    text: Template = Field(description="the message as text")
    html: Template | None = Field(None, description="the message as HTML, beside the text")
    timeout: Duration = Field(
        timedelta(seconds=20), description="how long the server may take for each answer"
    )


class NotifyConfig(ActionConfig):
    """Exactly one of `slack` and `email`."""

    slack: SlackConfig | None = Field(
        None, description="a Slack-style webhook: url, text, blocks, fields"
    )
    email: EmailConfig | None = Field(
        None, description="a mail by SMTP: server, from, to, subject, text, html, ..."
    )
