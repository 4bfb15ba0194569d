"""`headrace webhook`."""

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.one_flow import flow_argument
from headrace.runtime.cli.options import common_options, settings_of, settings_options

if TYPE_CHECKING:
    from headrace.runtime.contracts.feed import Route, SampleRequest
    from headrace.runtime.plan import Plan

ANSWER_S = 30.0
ANSWER_BYTES_MAX = 1_000_000


@click.group()
def webhook() -> None:
    """Try webhooks out. Answers are told as JSON with --json.

    \b
    Example:
      headrace webhook test flows/github.yaml
    """  # noqa: D301 # click reads the backspace itself


@webhook.command(
    cls=Command,
    examples=[
        "headrace webhook test flows/github.yaml",
        "headrace webhook test flows/github.yaml --data @push.json --header x-github-event=push",
        "headrace webhook test github --flows flows/ --url https://hooks.example.com --show",
    ],
)
@flow_argument
@click.option("--stage", help="The webhook, where the flow has several.")
@click.option(
    "--url",
    help="Where the worker, or what stands in front of it, is reached.  [default: the setting http]",
)
@click.option(
    "--data",
    metavar="TEXT|@FILE",
    help="The body; @FILE reads it from a file, @- from standard input.  [default: a sample]",
)
@click.option("--content-type", help="Of the body.  [default: that of the webhook's format]")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A further header.")
@click.option(
    "--show", is_flag=True, help="Send nothing: print the request, without what is secret."
)
@settings_options
@common_options
def test(
    flow: str,
    flows: tuple[str, ...],
    stage: str | None,
    url: str | None,
    data: str | None,
    content_type: str | None,
    headers: tuple[str, ...],
    show: bool,
    assignments: Mapping[str, str],
    config: Path | None,
    brokers: str | None,
    prefix: str | None,
    as_json: bool,
) -> None:
    """Sign a request as its sender would and send it to a webhook of FLOW.

    The secrets are looked for where a worker looks for them. Exits with 1 when the answer is not 2xx.
    """
    from headrace.runtime.cli.given_value import bytes_of
    from headrace.runtime.cli.one_flow import plan_of_flow
    from headrace.runtime.clock import SystemClock
    from headrace.runtime.environment import Values
    from headrace.runtime.expression.given import values_of

    settings = settings_of(assignments, config, brokers=brokers, prefix=prefix)
    plan = plan_of_flow(flow, flows, settings.prefix)
    route = _route_of(plan, stage)
    values = Values()
    request = route.sample(
        values_of(route.settings(), values.env, values.secret),
        SystemClock(),
        body=None if data is None else bytes_of(data),
        content_type=content_type,
    )
    if request is None:
        raise click.ClickException("this trigger takes no requests that can be made up")
    sent = {**request.headers, **_headers(headers)}
    base = url or (f"http://{settings.http}" if settings.http else None)
    if base is None:
        raise click.UsageError("where is the worker? give --url, or the setting http of the worker")
    target = _target(base, request.path)
    if show:
        _show(request, target, sent, values.secret_values, as_json=as_json)
        return
    _report(*_send(request, target, sent), as_json=as_json)


def _route_of(plan: "Plan", stage: str | None) -> "Route":
    """The webhook that is meant: the one named, or the only one."""
    from headrace.runtime.contracts.action import TriggerAction
    from headrace.runtime.contracts.feed import Route
    from headrace.runtime.flow import did_you_mean

    found: dict[str, Route] = {}
    for node in plan.graph.triggers:
        feed = node.action.feed() if isinstance(node.action, TriggerAction) else None
        if isinstance(feed, Route):
            found[node.name] = feed
    if not found:
        raise click.UsageError(f"flow '{plan.name}' has no webhook")
    if stage is None:
        if len(found) > 1:
            raise click.UsageError(
                f"flow '{plan.name}' has several webhooks: {', '.join(found)}; name one with --stage"
            )
        return next(iter(found.values()))
    if stage not in found:
        hint = did_you_mean(stage, found) or f"; there are {', '.join(found)}"
        raise click.UsageError(f"flow '{plan.name}' has no webhook '{stage}'{hint}")
    return found[stage]


def _headers(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--header {text!r} must be NAME=VALUE")
        found[name.strip().lower()] = value
    return found


def _target(base: str, path: str) -> str:
    """The whole URL: a base that names a path already is taken as it is."""
    found = urlsplit(base)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise click.UsageError("--url must be like http://127.0.0.1:8080")
    return base if found.path.strip("/") else f"{found.scheme}://{found.netloc}{path}"


def _send(
    request: "SampleRequest", target: str, headers: Mapping[str, str]
) -> tuple[int, dict[str, str], str]:
    """The status, the headers and the text of the answer."""
    parts = urlsplit(target)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    assert parts.hostname is not None
    connection = kind(parts.hostname, parts.port, timeout=ANSWER_S)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(request.method, path, body=request.body, headers=dict(headers))
        response = connection.getresponse()
        text = response.read(ANSWER_BYTES_MAX).decode(errors="replace")
        return response.status, {k.lower(): v for k, v in response.getheaders()}, text
    except (OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "strerror", None) or type(error).__name__).lower()
        where = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
        raise click.ClickException(
            f"{where} does not answer: {reason}; is the worker running, with the setting http?"
        ) from error
    finally:
        connection.close()


def _show(
    request: "SampleRequest",
    target: str,
    headers: Mapping[str, str],
    secrets: set[str],
    *,
    as_json: bool,
) -> None:
    """The request, without what is secret."""
    from headrace.runtime.cli.output import print_json

    shown = {
        name: "..." if name == "authorization" or any(one in text for one in secrets) else text
        for name, text in headers.items()
    }
    body = request.body.decode(errors="replace")
    if as_json:
        print_json({"method": request.method, "url": target, "headers": shown, "body": body})
        return
    click.echo(f"{request.method} {target}")
    for name, text in shown.items():
        click.echo(f"{name}: {text}")
    click.echo(f"\n{body}")


def _report(status: int, headers: Mapping[str, str], body: str, *, as_json: bool) -> None:
    from headrace.runtime.cli.output import print_json

    if as_json:
        print_json({"status": status, "headers": dict(headers), "body": body})
    else:
        click.echo(f"{status} {http.client.responses.get(status, '')}".rstrip())
        if "retry-after" in headers:
            click.echo(f"retry-after: {headers['retry-after']}")
        if body:
            click.echo(body)
    if not 200 <= status < 300:
        raise click.exceptions.Exit(1)
