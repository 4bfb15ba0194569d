import pytest

from benchmarks import fairness
from benchmarks.contenders import client_settings


def test_the_contenders_on_librdkafka_have_the_settings_of_headrace() -> None:
    assert list(fairness.differences()) == []


def test_a_setting_that_differs_is_named_with_both_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(client_settings.PRODUCER, "linger.ms", 99)

    (difference,) = fairness.differences()

    assert "producer setting linger.ms is 99 here and 5 in headrace" in difference
