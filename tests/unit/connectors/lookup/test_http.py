"""`hydrate` over HTTP."""

import asyncio
from typing import Any

import pytest
from starlette.responses import Response

from headrace.operators.hydrate import Hydrate
from headrace.runtime.contracts.call import CallFailedError, Outcome
from tests.unit.connectors.calling import Calling, action_of
from tests.unit.connectors.http_call.serving import Answering, Asked, Server, serving

USERS = {"1": {"id": 1, "name": "Ada"}, "2": {"id": 2, "name": "Bo"}}


def looked_up(
    source: dict[str, Any], answer: Answering, *keys: Any, **config: Any
) -> tuple[list[Outcome], Server]:
    async def call() -> tuple[list[Outcome], Server]:
        async with serving(answer) as server:
            given = {"into": "u", "http": {**source, "url": server.url + source["url"]}, **config}
            async with Calling(Hydrate, given) as calling:
                return await calling.outcomes(*({"k": key} for key in keys)), server

    return asyncio.run(call())


def one_user(asked: Asked) -> Any:
    user = USERS.get(asked.path.rpartition("/")[2])
    return user or Response("no", 404)


def test_each_thing_is_asked_for_once() -> None:
    made, server = looked_up({"url": "/users/${event.k}"}, one_user, 1, 9, 2, 1)

    assert [one.events[0]["u"] for one in made] == [USERS["1"], None, USERS["2"], USERS["1"]]
    assert sorted(asked.path for asked in server.asked) == ["/users/1", "/users/2", "/users/9"]


def test_a_failure_is_that_of_its_record_only() -> None:
    def answer(asked: Asked) -> Any:
        return Response("", 503) if asked.path.endswith("2") else one_user(asked)

    made, _ = looked_up({"url": "/users/${event.k}"}, answer, 1, 2)

    assert made[0].error is None
    assert isinstance(made[1].error, CallFailedError)
    assert made[1].error.is_temporary


def test_a_part_of_the_answer_can_be_chosen() -> None:
    source = {"url": "/", "method": "POST", "body": {"id": "${event.k}"}, "value": "body.data"}

    made, _ = looked_up(source, lambda asked: {"data": {"sent": asked.body.decode()}}, 5)

    assert made[0].events[0]["u"] == {"sent": '{"id":5}'}


@pytest.mark.parametrize(
    ("style", "query"), [("comma", "ids=1%2C9%2C2"), ("repeat", "ids=1&ids=9&ids=2")]
)
def test_many_keys_go_into_one_request(style: str, query: str) -> None:
    source = {
        "url": "/users",
        "many": {"parameter": "ids", "by": "id", "style": style},
        "value": "body.users",
    }

    made, server = looked_up(
        source, lambda _: {"users": list(USERS.values())}, 1, 9, 2, 1, key="event.k"
    )

    assert [one.events[0]["u"] for one in made] == [USERS["1"], None, USERS["2"], USERS["1"]]
    assert [asked.query for asked in server.asked] == [query]


def test_a_summary_holds_no_secret() -> None:
    action = action_of(Hydrate, {"into": "u", "http": {"url": "http://me:pw@a/x?t=${secret.T}"}})

    assert action.summary() == "what is found in http://a/x into u"
