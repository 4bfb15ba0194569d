from typing import Any

import pytest

from headrace.runtime.flow.suggestion import did_you_mean, found


@pytest.mark.parametrize("word", ["ouput", "Out", "outs", "ou"])
def test_a_mistyped_word_leads_to_the_nearest_candidate(word: str) -> None:
    assert did_you_mean(word, ["name", "out", "config"]) == "; did you mean 'out'?"


@pytest.mark.parametrize("word", ["dead-letter", "Dead Letter", "DEAD_LETTER"])
def test_case_and_word_marks_are_no_differences(word: str) -> None:
    assert did_you_mean(word, ["skip", "dead_letter"]) == "; did you mean 'dead_letter'?"


def test_a_word_that_is_near_nothing_leads_nowhere() -> None:
    assert did_you_mean("zebra", ["name", "out"]) == ""
    assert did_you_mean("zebra", []) == ""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true"),
        (1.5, "the number 1.5"),
        ("hunter2", "text"),
        ("", "empty text"),
        ({}, "a mapping"),
        ([], "a list"),
        (object(), "object"),
    ],
)
def test_a_found_value_is_named_by_its_kind(value: Any, words: str) -> None:
    assert found(value) == words
