"""Flow to YAML text, the way back from `parse_flows`."""

import re
from typing import Any, Final

import yaml

from headrace.runtime.errors import FlowError, Problem
from headrace.runtime.flow.explanation import Finding, dotted
from headrace.runtime.flow.model import Flow
from headrace.runtime.flow.plain import plain

_STAGE_KEYS: Final = ("name", "action", "config", "out")
_AMBIGUOUS: Final = re.compile(
    r"(?:[-+]?[.0-9][-+.0-9e]*|0[xo][0-9a-f]+|[-+]?\.(?:inf|nan)|true|false|null|~|<<|=|)$",
    re.IGNORECASE,
)
_BLOCK: Final = re.compile(r"(?:\S|\S.*\S)(?:\n+(?:\S|\S.*\S))*\n?")


def flow_to_yaml(flow: Flow) -> str:
    """A document that loads as an equal flow; fields that have their default are left out.

    Raises:
        FlowError: a configuration made in Python holds what a document cannot, such as a function.
    """
    findings: list[Finding] = []
    data = plain(flow.model_dump(exclude_defaults=True), (), findings)
    if findings:
        raise FlowError(
            [Problem("", f"flow {flow.name!r}: '{dotted(path)}' {text}") for path, text in findings]
        )
    stages = data.pop("stages")
    data["stages"] = [_in_order(stage) for stage in stages]
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )


def _in_order(stage: dict[str, Any]) -> dict[str, Any]:
    if len(stage.get("out", ())) == 1:
        stage["out"] = stage["out"][0]
    first = {key: stage[key] for key in _STAGE_KEYS if key in stage}
    return first | stage


class _Dumper(yaml.SafeDumper):
    """Never writes an alias, however often a value occurs."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML quotes what YAML 1.1 would misread; the reader's numbers and nulls are a bit wider.
    style = None
    if not text.isprintable():
        is_block = _BLOCK.fullmatch(text) and text.replace("\n", "").isprintable()
        style = "|" if is_block else '"'
    elif _AMBIGUOUS.match(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
