"""Keeps secrets out of what other programs say of their settings."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from headrace.runtime.expression import Template

HIDDEN = "***"
_NAMED = re.compile(
    r"(?i)((?:password|passwd|secret|token)[\w.]*['\"]?\s*[=:]\s*)(['\"]?)[^\s'\",;&]+"
)
_USER_INFO = re.compile(r"(?<=://)[^/\s@]+@")
_SHORTEST = 3


class Redaction:
    """Replaces secret values in text, and whatever stands where a password usually does.

    A value of one or two signs is not looked for: it would be found in half of all words, and betray itself thereby.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST}
        longest_first = sorted(known, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def __call__(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(HIDDEN, text)
        text = _USER_INFO.sub("", text)
        return _NAMED.sub(rf"\1\2{HIDDEN}", text)


def secrets_of(
    templates: Mapping[str, Template], values: Mapping[str, Any], *more: str
) -> list[str]:
    """The values that must not be seen: those of settings that mention a secret or are named like one, and `more`."""
    found = [
        str(values[name])
        for name, template in templates.items()
        if name in values and (template.secrets or "password" in name.lower())
    ]
    return [*found, *more]
