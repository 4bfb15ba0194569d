"""The examples of docs/expressions.md are true, and it leaves nothing out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from headrace.runtime.expression import NAMES, limits
from headrace.runtime.expression.functions import TABLE
from headrace.runtime.expression.methods import METHODS

from .evaluation import evaluate

DOCUMENT = (Path(__file__).parents[3] / "docs" / "expressions.md").read_text()
EVENT = json.loads(DOCUMENT.split("```json\n")[1].split("```")[0])
EXAMPLES = re.findall(r"`([^`\n]+)` → `([^`\n]+)`", DOCUMENT)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 100


@pytest.mark.parametrize(("text", "value"), EXAMPLES)
def test_an_example_is_true(text: str, value: str) -> None:
    result: Any = evaluate(text, EVENT)

    assert json.dumps(result, ensure_ascii=False) == json.dumps(
        json.loads(value), ensure_ascii=False
    )


def test_every_function_has_an_example() -> None:
    used = {name for text, _ in EXAMPLES for name in re.findall(r"(\w+)\(", text)}

    assert set(TABLE) - used == set()


def test_every_name_and_method_is_listed() -> None:
    listed = set(re.findall(r"`(\w+)[`.]", DOCUMENT))

    assert set(NAMES) | set(METHODS) <= listed


def test_the_limits_are_those_of_the_code() -> None:
    told = DOCUMENT.split("## Limits")[1]

    for bound in (
        limits.TEXT_CHARACTERS_MAX,
        limits.NODES_MAX,
        limits.DEPTH_MAX,
        limits.LOOPS_MAX,
        limits.ROUNDS_MAX,
        limits.KEPT_UNITS_MAX,
        limits.RESULT_CHARACTERS_MAX,
        limits.RESULT_ELEMENTS_MAX,
        limits.POWER_BITS_MAX,
    ):
        assert f" {bound:,} " in told.replace("\n", " "), bound
