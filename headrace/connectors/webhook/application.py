"""The way of one request.

1. rate: counted before anything else, also for paths and methods that there are not (429)
2. path and method (404, 405), and whether Kafka can be written to at all (503)
3. requests at once, in all (503) and from one source (429), and the bytes that they hold (503)
4. content type (415), then the body, within its size and its time (413, 408)
5. the signature, over the bytes as they came (401)
6. what the sender only asks (Slack's challenge), which is answered without a record
7. the body is read (422), and the records are made
8. what was taken before is answered (200, or 409)
9. the records are written, and acknowledged by all in-sync replicas within `ack_timeout` (503, 413)
10. `mode: sync`: the run's own answer is waited for (504)
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from headrace.connectors.webhook.answers import Answer, RefusedError, json_answer
from headrace.connectors.webhook.bridge import Bridge, BridgeSettings, Figures
from headrace.connectors.webhook.cloud_events import handshake
from headrace.connectors.webhook.config import IdempotencyConfig, LimitsConfig, WebhookConfig
from headrace.connectors.webhook.deliveries import Deliveries
from headrace.connectors.webhook.limits import Held, InFlight, Limits, RateLimit
from headrace.connectors.webhook.outgoing import Fate, Record, Written, unavailable
from headrace.connectors.webhook.records import Records, remembers
from headrace.connectors.webhook.remembered import Remembered
from headrace.connectors.webhook.request import (
    DisconnectedError,
    Message,
    Receive,
    RequestHeaders,
    Scope,
    Send,
    address_of,
    body_of,
    headers_of,
    path_inside,
)
from headrace.connectors.webhook.signatures import Refusal, Verifier
from headrace.runtime.clock import Clock
from headrace.runtime.contracts.feed import FeedPlace

logger = logging.getLogger(__name__)


class WebhookApplication:
    """Answers the requests of one webhook; an ASGI application, made and used in one event loop."""

    def __init__(
        self,
        config: WebhookConfig,
        place: FeedPlace,
        verifier: Verifier,
        *,
        topic: str,
        reply_topic: str | None,
    ) -> None:
        self._config = config
        self._clock = place.clock
        self._name = place.name
        self._topic = topic
        self._verifier = verifier
        self._records = Records(config)
        self._limits = limits_of(config.limits, place.clock)
        self._figures = Figures()
        idempotency = config.idempotency
        is_remembering = remembers(config)
        if not isinstance(idempotency, IdempotencyConfig):
            idempotency = IdempotencyConfig()
        window_ms = int(idempotency.window.total_seconds() * 1000)
        self._deliveries = Deliveries(
            place.clock,
            Remembered(idempotency.remembered, window_ms),
            refuses_duplicates=idempotency.duplicates == "refuse",
        )
        self._bridge = Bridge(
            place,
            BridgeSettings(
                topic=topic,
                ack_timeout_s=config.ack_timeout.total_seconds(),
                window_ms=window_ms,
                remembered=idempotency.remembered if is_remembering else 0,
                follows=idempotency.across_workers,
                reply_topic=reply_topic,
            ),
            self._figures,
            settled=self._deliveries.settled,
            remember=self._deliveries.remember,
        )

    @property
    def why_not(self) -> str:
        """Why nothing can be taken now; empty when it can."""
        return self._bridge.why_not

    async def close(self) -> None:
        """Take nothing more, and end. May be called again."""
        await self._bridge.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # a web socket is closed by the server when nothing answers
        try:
            answer = await self._answer(scope, receive)
        except DisconnectedError:
            self._figures.add("disconnected_requests_total")
            return
        except RefusedError as error:
            answer = error.answer()
        except Exception:  # who sent the request is told no more, and the worker goes on
            logger.exception("webhook %s: a request was not answered", self._name)
            failed = RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "the worker's log says why")
            answer = failed.answer()
        self._figures.add(_figure(answer.status))
        await _send(send, answer, has_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        config = self._config
        headers = headers_of(scope)
        source = address_of(scope, headers, config.proxies)
        self._limits.check_rate(source)  # 1
        if (answer := self._asked(scope, headers)) is not None:  # 2
            return answer
        with (
            self._limits.in_flight.one_more(source, self._bridge.unreported),  # 3
            self._limits.held.one_body() as take,
        ):
            self._records.check_type(headers)  # 4
            body = await body_of(
                headers,
                receive,
                take,
                bytes_max=config.limits.body,
                timeout_s=config.limits.body_timeout.total_seconds(),
            )
            now_ms = self._clock.now_ms()
            self._verify(headers, body, now_ms)  # 5
            event, make = self._records.read(headers, body)
            if config.verify.scheme == "slack" and _is_challenge(event):  # 6
                return Answer(200, event["challenge"].encode(), "text/plain")
            if config.mode == "sync":
                return await self._write_and_wait(
                    lambda id_: make(now_ms, source, id_),
                    timeout_s=config.reply.timeout.total_seconds(),
                )
            written, is_duplicate = await self._write(make(now_ms, source, None))  # 7-9
        return self._taken(written, is_duplicate=is_duplicate)

    def _asked(self, scope: Scope, headers: RequestHeaders) -> Answer | None:
        """Refuse what is no delivery, and answer the question that a sender of CloudEvents asks first."""
        if path_inside(scope):
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing below this webhook")
        config, method = self._config, scope["method"]
        if method == "OPTIONS" and config.cloudevents and "webhook-request-origin" in headers:
            return handshake(headers)
        if method not in config.methods:
            allowed = ", ".join(config.methods)
            raise RefusedError(
                HTTPStatus.METHOD_NOT_ALLOWED, f"send with {allowed}", headers={"allow": allowed}
            )
        if why_not := self._bridge.why_not:
            raise unavailable(why_not)
        return None

    def _verify(self, headers: RequestHeaders, body: bytes, now_ms: int) -> None:
        try:
            self._verifier.check(headers, body, now_ms)
        except Refusal as refusal:
            scheme = self._config.verify.scheme
            challenge = scheme.title() if scheme in ("basic", "bearer") else "Signature"
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                str(refusal),
                headers={"www-authenticate": f'{challenge} realm="webhook"'},
            ) from None

    async def _write(self, records: Sequence[Record]) -> tuple[list[Written], bool]:
        """Write what is not known; returns where it is, and whether nothing of it was new.

        Raises:
            RefusedError: not all was acknowledged. What was is remembered, so that it is not written again.
        """
        new = [one for one in records if not self._deliveries.is_known(one.digest)]
        fates = [self._deliveries.write(self._bridge, one) for one in new]
        written: list[Written] = []
        refusal: RefusedError | None = None
        for fate in fates:
            # Shielded, since others may wait for the same delivery.
            known: Fate = await asyncio.shield(fate)
            if isinstance(known, RefusedError):
                refusal = refusal or known
            else:
                written.append(known)
        if refusal is not None:
            raise refusal
        self._figures.add("records_total", len(written))
        return written, bool(records) and not new

    async def _write_and_wait(
        self, make: Callable[[str], Sequence[Record]], *, timeout_s: float
    ) -> Answer:
        """Write the record of a request, and answer with what its run answers."""
        replies = self._bridge.replies
        assert replies is not None
        request_id = uuid.uuid4().hex
        reply = replies.wait_for(request_id)
        try:
            written, is_duplicate = await self._write(make(request_id))
            if is_duplicate:
                raise RefusedError(HTTPStatus.CONFLICT, "this delivery was taken already")
            try:
                async with asyncio.timeout(timeout_s):
                    return await reply  # 10
            except TimeoutError:
                runs = ", ".join(map(self._run, written))
                raise RefusedError(
                    HTTPStatus.GATEWAY_TIMEOUT,
                    f"the request was taken, but its run {runs} has not answered within {timeout_s:g} s",
                ) from None
        finally:
            replies.forget(request_id)

    def _taken(self, written: Sequence[Written], *, is_duplicate: bool) -> Answer:
        scheme = self._config.verify
        status = HTTPStatus.OK if is_duplicate else HTTPStatus(self._config.status or scheme.status)
        if status == HTTPStatus.NO_CONTENT or scheme.scheme == "slack":
            return Answer(status)
        if is_duplicate:
            return json_answer(status, {"status": "duplicate"})
        return json_answer(
            status, {"status": "accepted", "runs": [self._run(one) for one in written]}
        )

    def _run(self, one: Written) -> str:
        """The identity of the run that a record starts."""
        return f"{self._topic}-{one.partition}-{one.offset}"


def limits_of(config: LimitsConfig, clock: Clock) -> Limits:
    """The limits of a webhook."""
    rates = [
        RateLimit(
            rate.limit,
            rate.per.total_seconds(),
            rate.burst or rate.limit,
            is_per_source=is_per_source,
        )
        for rate, is_per_source in ((config.rate_per_source, True), (config.rate, False))
        if rate is not None
    ]
    in_flight = InFlight(config.in_flight, config.in_flight_per_source)
    return Limits(clock, rates, in_flight, Held(config.held))


def _is_challenge(event: Any) -> bool:
    """Whether Slack only wants to know who is there."""
    return (
        isinstance(event, dict)
        and event.get("type") == "url_verification"
        and isinstance(event.get("challenge"), str)
        and event["challenge"].isascii()
    )


def _figure(status: int) -> str:
    if status < HTTPStatus.BAD_REQUEST:
        return "accepted_requests_total"
    return (
        "refused_requests_total"
        if status < HTTPStatus.INTERNAL_SERVER_ERROR
        else "failed_requests_total"
    )


async def _send(send: Send, answer: Answer, *, has_body: bool) -> None:
    start: Message = {
        "type": "http.response.start",
        "status": int(answer.status),
        "headers": answer.raw_headers(),
    }
    await send(start)
    await send({"type": "http.response.body", "body": answer.body if has_body else b""})
