"""Reducers as a user would write them."""

from typing import Any


class Longest:
    """The longest text; changes nothing in place."""

    def initial(self) -> str:
        return ""

    def add(self, state: str, value: str) -> str:
        return value if len(value) > len(state) else state

    def merge(self, one: str, other: str) -> str:
        return other if len(other) > len(one) else one

    def result(self, state: str) -> str:
        return state.upper()


class Reckless:
    """Changes its state before it fails, keeps no JSON, and cannot merge."""

    def initial(self) -> list[Any]:
        return []

    def add(self, state: list[Any], value: Any) -> Any:
        state.append(value)
        if value == "boom":
            raise ValueError("secret boom")
        return {1, 2} if value == "set" else state


longest = Longest()
