"""Documents of the native format, of ours, and of neither: what schema and loader say."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.runtime.errors import FlowError, Problem
from headrace.runtime.flow import (
    Exponential,
    Flow,
    Policies,
    Retry,
    Stage,
    flow_schema,
    flow_to_yaml,
    parse_flows,
)

NATIVE: dict[str, Any] = {
    "type": "object",
    "required": ["name", "stages"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "stages": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "action"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "action": {"type": "string"},
                    "config": {"type": "object", "additionalProperties": True},
                    "out": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}
"""The native format as it was before policies: the least that every version must accept."""

NATIVE_FORMAT = jsonschema.Draft7Validator(NATIVE)
OURS = jsonschema.Draft202012Validator(flow_schema())

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = texts.filter(str.strip)
plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(["on", "1e3", "0x1F", "0o7", ".5", "~", "<<", "2020-01-01", "- a", "a: b"])
    | st.text("ab \n#:'\"\\", max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


native_stages: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": texts, "action": texts},
    optional={
        "config": st.dictionaries(texts, plain_values, max_size=3),
        "out": st.lists(texts, max_size=3),
    },
)
native_documents = st.fixed_dictionaries(
    {"name": texts, "stages": st.lists(native_stages, max_size=4)}
)
values_of_any_key: st.SearchStrategy[Any] = st.dictionaries(texts, plain_values, max_size=3)
names_of_targets: st.SearchStrategy[Any] = st.lists(names, max_size=3)
sensible_stages: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": names, "action": names},
    optional={"config": values_of_any_key, "out": names_of_targets},
)


def name_of(stage: dict[str, Any]) -> str:
    return str(stage["name"])


sensible_lists: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    sensible_stages, min_size=1, max_size=4, unique_by=name_of
)
sensible_documents = st.fixed_dictionaries({"name": names, "stages": sensible_lists})


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(flow_schema())


def test_every_field_is_described() -> None:
    schema = flow_schema()

    parts = [schema, *schema["$defs"].values()]
    assert all(field.get("description") for part in parts for field in part["properties"].values())


@pytest.mark.parametrize(
    "part",
    [
        {"out": "a"},
        {"out": ["a", "b"]},
        {"timeout": "1m30s"},
        {"retry": {"attempts": 3, "backoff": "5s"}},
        {"retry": {"backoff": ["1s", "500ms"], "retry_if": "error.kind == 'busy'"}},
        {"retry": {"backoff": {"initial": "1s", "multiplier": 3, "jitter": 0.5, "cap": "1h"}}},
        {"on_error": "skip", "buffer": 10, "compensate": "a", "link": "topic"},
    ],
)
def test_every_way_to_write_a_policy_is_in_the_schema_and_loads(part: dict[str, Any]) -> None:
    stage = {"name": "a", "action": "b", **part}
    document = {"name": "a", "version": 3, "enabled": False, "tags": ["x"], "stages": [stage]}

    OURS.validate(document)
    assert len(parse_flows(json.dumps(document), format="json")) == 1


@pytest.mark.parametrize(
    "part",
    [
        {"out": 5},
        {"timeout": 5},
        {"timeout": "soon"},
        {"retry": {"attempts": 0}},
        {"retry": {"backoff": {"cap": "1s"}}},
        {"buffer": 0},
        {"link": "topics"},
        {"config": None},
    ],
)
def test_a_policy_that_is_wrong_is_refused_by_schema_and_loader(part: dict[str, Any]) -> None:
    document = {"name": "a", "stages": [{"name": "a", "action": "b", **part}]}

    assert not OURS.is_valid(document)
    with pytest.raises(FlowError):
        parse_flows(json.dumps(document), format="json")


@settings(deadline=None)
@given(native_documents)
def test_every_native_document_is_valid_under_our_schema(document: Any) -> None:
    NATIVE_FORMAT.validate(document)

    OURS.validate(document)


@settings(deadline=None)
@given(sensible_documents)
def test_every_sensible_native_document_loads(document: Any) -> None:
    NATIVE_FORMAT.validate(document)

    (flow,) = parse_flows(json.dumps(document), format="json")

    assert flow.name == document["name"]
    assert [stage.model_dump(include={"name", "action"}) for stage in flow.stages] == [
        {key: stage[key] for key in ("name", "action")} for stage in document["stages"]
    ]
    assert [(stage.config, list(stage.out)) for stage in flow.stages] == [
        (stage.get("config", {}), stage.get("out", [])) for stage in document["stages"]
    ]


@pytest.mark.parametrize("path", [(), ("stages", 0), ("stages", 0, "retry"), ("defaults",)])
def test_an_unknown_key_is_valid_under_neither(path: tuple[str | int, ...]) -> None:
    document: dict[str, Any] = {
        "name": "a",
        "defaults": {},
        "stages": [{"name": "a", "action": "b", "retry": {}}],
    }
    part: Any = document
    for step in path:
        part = part[step]
    part["wat"] = 1

    assert not OURS.is_valid(document)
    with pytest.raises(FlowError, match="unknown key 'wat'"):
        parse_flows(json.dumps(document), format="json")


nearly_retries = st.dictionaries(
    st.sampled_from([*Retry.model_fields, "wat"]),
    plain_values
    | st.lists(plain_values | st.just("1s"), max_size=2)
    | st.dictionaries(st.sampled_from([*Exponential.model_fields, "wat"]), plain_values),
)
nearly_policies = st.dictionaries(
    st.sampled_from([*Policies.model_fields, "wat"]), plain_values | nearly_retries
)
nearly_stages = st.dictionaries(
    st.sampled_from([*Stage.model_fields, "wat"]), plain_values | nearly_retries
)
nearly_flows = st.dictionaries(
    st.sampled_from([*Flow.model_fields, "wat"]),
    plain_values | nearly_policies | st.lists(nearly_stages | plain_values, max_size=3),
)
LIBRARY_WORDS = ["Input should", "input should", "Field required", "Extra inputs", "alue error"]


def parsed(data: dict[str, Any]) -> tuple[list[Flow], tuple[Problem, ...]]:
    try:
        return parse_flows(json.dumps(data), format="json"), ()
    except FlowError as error:
        return [], error.problems


@settings(deadline=None, max_examples=300)
@given(nearly_flows, st.lists(nearly_stages, max_size=3))
def test_whatever_a_document_holds_is_answered_with_a_flow_or_problems_in_our_words(
    document: dict[str, Any], stages: list[Any]
) -> None:
    for data in ({**document, "name": "a", "stages": stages}, document):
        flows, problems = parsed(data)

        assert bool(flows) != bool(problems)
        assert not flows or OURS.is_valid(data)
        assert all(problem.place == "<text>:1" for problem in problems)
        assert not any(words in str(problems) for words in LIBRARY_WORDS)


@settings(deadline=None)
@given(
    st.builds(
        Flow,
        name=names,
        description=st.none() | texts,
        tags=st.lists(names, max_size=2),
        version=st.none() | names | st.integers(0, 99),
        enabled=st.booleans(),
        input=st.none() | st.dictionaries(texts, plain_values, max_size=2),
        stages=st.lists(
            st.builds(
                Stage,
                name=names,
                action=names,
                config=st.dictionaries(texts, plain_values, max_size=3),
                out=st.lists(names, max_size=2),
                retry=st.none()
                | st.fixed_dictionaries({"backoff": st.sampled_from(["1s", ["1s", "2m"]])}),
                timeout=st.none() | st.just("1m30s"),
                on_error=st.none() | names,
            ),
            min_size=1,
            max_size=3,
        ),
    )
)
def test_a_flow_that_is_written_loads_as_an_equal_flow(flow: Flow) -> None:
    text = flow_to_yaml(flow)

    assert parse_flows(text) == [flow]


@settings(deadline=None)
@given(plain_values)
def test_json_text_reads_as_the_value_it_was_written_from(value: Any) -> None:
    document = {"name": "a", "stages": [{"name": "a", "action": "b", "config": {"value": value}}]}

    (flow,) = parse_flows(json.dumps(document, indent=1), format="json")

    assert flow.stages[0].config == {"value": value}
