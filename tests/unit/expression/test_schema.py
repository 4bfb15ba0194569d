"""Expressions and templates as fields of an action's configuration."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from headrace.runtime.expression import Expression, ExtraNames, Template


class Config(BaseModel):
    where: Expression
    key: Expression | None = None
    each: Annotated[Expression, ExtraNames("item", "index")] | None = None
    value: Template = Template.parse(None)
    set: dict[str, Template] = {}
    rows: list[Annotated[Template, ExtraNames("item")]] = []


def test_text_becomes_an_expression() -> None:
    config = Config.model_validate({"where": "event.amount > 100", "set": {"id": "${event.id}"}})

    assert config.where == Expression.parse("event.amount > 100")
    assert config.set == {"id": Template.parse("${event.id}")}
    assert config.key is None


@pytest.mark.parametrize(
    ("given", "text"), [(True, "true"), (False, "false"), (3, "3"), (1.5, "1.5"), (None, "null")]
)
def test_a_literal_stands_for_itself(given: object, text: str) -> None:
    assert Config.model_validate({"where": given}).where.text == text


def test_an_expression_made_in_python_is_taken_as_it_is() -> None:
    expression = Expression.parse("event.a")
    template = Template.parse("${event.a}")

    config = Config(where=expression, value=template)

    assert config.where is expression
    assert config.value is template


def test_a_mistake_is_an_ordinary_error_of_validation() -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"where": "evnt.a", "set": {"id": "${event.a"}, "key": ["a"]})

    errors = {error["loc"]: error["msg"] for error in caught.value.errors()}
    assert errors["where",] == "unknown name 'evnt'; did you mean 'event'? at column 1 of 'evnt.a'"
    assert "never closed" in errors["set", "id"]
    assert errors["key",] == "an expression is text, a number, true, false or null"


def test_curly_braces_in_a_message_are_kept() -> None:
    with pytest.raises(ValidationError, match=r"\{reason\}"):
        Config.model_validate({"where": "event.a{reason}"})


def test_extra_names_are_names_of_that_field_only() -> None:
    config = Config.model_validate(
        {"where": "1", "each": "item.price * index", "rows": ["${item}"]}
    )

    assert config.each is not None
    assert config.each.reads == {"item", "index"}
    with pytest.raises(ValidationError, match="unknown name 'item'"):
        Config.model_validate({"where": "item.price"})


def test_extra_names_belong_to_an_expression() -> None:
    with pytest.raises(TypeError, match="ExtraNames belongs to Expression or Template"):
        TypeAdapter(Annotated[int, ExtraNames("item")])


def test_fields_are_written_as_they_were_read() -> None:
    given: dict[str, Any] = {"where": "event.a", "value": {"a": ["${event.id}", 1]}}

    config = Config.model_validate(given)

    assert config.model_dump(include={"where", "value"}) == given
    assert config.model_dump(mode="json", include={"where", "value"}) == given
    assert Config.model_validate(config.model_dump()) == config


def test_the_schema_says_what_may_be_written() -> None:
    properties = Config.model_json_schema()["properties"]

    assert [option["type"] for option in properties["where"]["anyOf"]] == [
        "string",
        "number",
        "boolean",
        "null",
    ]
    assert "type" not in properties["value"]
