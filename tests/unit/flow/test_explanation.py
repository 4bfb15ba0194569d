from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from headrace.runtime.duration import Duration
from headrace.runtime.flow import describe_validation
from headrace.runtime.flow.explanation import dotted, models_at


class Window(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: Duration
    kind: Literal["tumbling", "hopping"] = "tumbling"


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    topics: Annotated[list[str], Field(min_length=1)] = ["a"]
    window: Window | None = None
    stages_by_name: dict[str, Window] = {}
    from_: str = Field("", alias="from", max_length=3)
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    place: Literal["here", "there"] | None = None
    even: int = 2

    @field_validator("even")
    @classmethod
    def _is_even(cls, even: int) -> int:
        if even % 2:
            raise ValueError("Must be even")
        return even


def describe(data: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(data)
    return [(path, text) for path, text in describe_validation(caught.value, Config, data)]


@pytest.mark.parametrize(
    ("data", "path", "text"),
    [
        ({"topics": "a"}, ("topics",), "'topics' must be a list, found text"),
        ({"topics": []}, ("topics",), "'topics' must have at least 1 entries"),
        ({"topics": [1]}, ("topics", 0), "'topics[0]' must be text, found the number 1; put"),
        ({"topic": []}, ("topic",), "unknown key 'topic'; did you mean 'topics'?"),
        ({"fron": ""}, ("fron",), "unknown key 'fron'; did you mean 'from'?"),
        ({"from": "abcd"}, ("from",), "'from' must have at most 3 characters"),
        ({"window": {}}, ("window", "size"), "'window.size' is missing"),
        ({"window": 5}, ("window",), "'window' must be a mapping, found the number 5"),
        (
            {"window": {"size": "1s", "kind": "sliding", "sise": 1}},
            ("window", "kind"),
            "'window.kind' must be 'tumbling' or 'hopping', found 'sliding'",
        ),
        (
            {"window": {"size": "1s", "kid": "hopping"}},
            ("window", "kid"),
            "unknown key 'kid' in 'window'; did you mean 'kind'?",
        ),
        ({"share": 1}, ("share",), "'share' must be less than 1.0, found the number 1"),
        ({"share": "x"}, ("share",), "'share' must be a number, found text"),
        ({"even": 3}, ("even",), "'even': must be even"),
        ({"place": "her"}, ("place",), "'place' must be 'here' or 'there', found 'her'; did you"),
    ],
)
def test_what_pydantic_found_is_told_in_our_words(
    data: dict[str, Any], path: tuple[str | int, ...], text: str
) -> None:
    found_path, found_text = describe(data)[0]

    assert found_path == path
    assert found_text.startswith(text)


def test_a_key_that_is_mistyped_is_not_also_missing() -> None:
    assert describe({"window": {"sise": "1s"}}) == [
        (("window", "sise"), "unknown key 'sise' in 'window'; did you mean 'size'?")
    ]


def test_findings_are_told_without_the_data_too() -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"topic": 1, "window": {"kind": "x"}})

    texts = [text for _, text in describe_validation(caught.value, Config)]

    assert "unknown key 'topic'; did you mean 'topics'?" in texts
    assert "'window.size' is missing" in texts


def test_a_text_of_the_document_is_not_repeated() -> None:
    assert "hunter2" not in str(describe({"topics": "hunter2", "share": "hunter2"}))


def test_the_models_at_a_path_are_those_of_its_annotation() -> None:
    assert models_at(("window",), Config) == [Window]
    assert models_at(("topics", 0), Config) == []


def test_a_path_is_written_with_dots_and_indices() -> None:
    assert dotted(("routes", 0, "when")) == "routes[0].when"
