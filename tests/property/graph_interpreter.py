"""Random flows, and the plainest possible way to run one: record by record, stage by stage, with Python's own `eval`."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

Stage = dict[str, Any]
SUFFIXES = ("", " b", "'", '"', "\\", "{0}", "ü", "#", "%s", "\n")
FIELDS = ("a", "b", "c")
FORMS = (
    "{0}",
    '{0}["a"]',
    '{0}["b"]',
    '{0}["a"] + 1',
    "[{0}, key]",
    '{{"a": {0}, "b": 2}}',
    '[n + 1 for n in {0}["items"]]',
    '{0}["c"] if {0}["a"] else {0}["b"]',
)
scalars = st.one_of(st.integers(-3, 3), st.sampled_from(["", "x", "7"]), st.none(), st.booleans())
events = st.one_of(
    st.fixed_dictionaries(
        {"a": st.integers(0, 3), "b": scalars, "items": st.lists(st.integers(0, 2), max_size=3)},
        optional={"c": st.dictionaries(st.sampled_from(FIELDS), scalars, max_size=2)},
    ),
    st.builds(lambda a, c: {"a": a, "b": {"a": a}, "c": c}, st.integers(0, 3), scalars),
    st.dictionaries(st.sampled_from(FIELDS), scalars, max_size=3),
    scalars,
)
records = st.lists(st.tuples(events, st.sampled_from([None, "k", "l"])), min_size=1, max_size=6)


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    """A flow document in which every stage is reached, and every edge goes forward."""
    count = draw(st.integers(2, 9))
    names = ["in"] + [f"s{i}{draw(st.sampled_from(SUFFIXES))}" for i in range(1, count)]
    kinds = ["kafka"] + [draw(st.sampled_from(KINDS)) for _ in range(1, count)]
    outs: list[set[int]] = [
        {j for j in range(i + 1, count) if draw(st.integers(0, 3)) == 0} for i in range(count)
    ]
    for j in range(1, count):
        senders = [i for i in range(j) if kinds[i] != "error"]
        if not any(j in outs[i] for i in senders):
            outs[draw(st.sampled_from(senders))].add(j)
    before: list[set[int]] = [set() for _ in range(count)]
    stages: list[Stage] = []
    for i in range(count):
        policy = draw(
            st.sampled_from(
                ["dead_letter", "skip"] + [j for j in range(i + 1, count) if kinds[j] == "caught"]
            )
        )
        for j in {
            *(outs[i] if kinds[i] != "error" else ()),
            *([policy] if isinstance(policy, int) else []),
        }:
            before[j] |= {i} | before[i]
        mentions = [names[k] for k in sorted(before[i])]
        stages.append(
            {
                "name": names[i],
                **STAGES[kinds[i]](draw, [names[j] for j in sorted(outs[i])], mentions),
                "on_error": names[policy] if isinstance(policy, int) else policy,
                **({"link": "topic"} if i and draw(st.integers(0, 9)) == 9 else {}),
            }
        )
    return {"name": "flow", "stages": stages}


def expression(draw: st.DrawFn, mentions: list[str], extra: tuple[str, ...] = ()) -> str:
    roots = ["event", "event", *extra, *(f"results[{json.dumps(name)}]" for name in mentions)]
    root = draw(st.sampled_from([*roots, *(["trigger.event"] if mentions else [])]))
    form = draw(st.sampled_from(FORMS))
    return str(form.format(root))


def condition(draw: st.DrawFn, mentions: list[str]) -> str:
    form = draw(st.sampled_from(["{0} == 1", '{0} != "x"', "{0}", "not {0}", 'key == "k" or {0}']))
    return str(form.format(f"({expression(draw, mentions)})"))


def _filter(draw: st.DrawFn, out: list[str], mentions: list[str]) -> Stage:
    return {"action": "filter", "config": {"where": condition(draw, mentions)}, "out": out}


def _set(draw: st.DrawFn, out: list[str], mentions: list[str]) -> Stage:
    fields = draw(st.lists(st.sampled_from(FIELDS), unique=True, min_size=1))
    config = {"set": {field: expression(draw, mentions) for field in fields}}
    return {"action": "map", "config": config, "out": out}


def _value(draw: st.DrawFn, out: list[str], mentions: list[str]) -> Stage:
    return {"action": "map", "config": {"value": expression(draw, mentions)}, "out": out}


def _fields(draw: st.DrawFn, out: list[str], mentions: list[str]) -> Stage:
    part = st.lists(st.sampled_from(FIELDS), unique=True, max_size=2)
    keep = {"take": draw(part)} if draw(st.booleans()) else {"drop": draw(part)}
    rename = {"rename": {"a": draw(st.sampled_from(["b", "z"]))}} if draw(st.booleans()) else {}
    return {"action": "map", "config": {**keep, **rename}, "out": out}


def _each(draw: st.DrawFn, out: list[str], mentions: list[str]) -> Stage:
    config = {"each": draw(st.sampled_from(['event["items"]', "[event, event]", "event"]))}
    if draw(st.booleans()):
        config["value"] = expression(draw, mentions, ("item", "item", "index"))
    return {"action": "map", "config": config, "out": out}


def _branch(draw: st.DrawFn, out: list[str], mentions: list[str]) -> Stage:
    routes = [
        {"when": condition(draw, mentions), "to": draw(st.sampled_from(out))}
        for _ in range(draw(st.integers(1, 3)) if out else 0)
    ]
    if not routes:
        return {"action": "noop", "out": out}
    config = {"routes": routes, "mode": draw(st.sampled_from(["first", "all"]))}
    if draw(st.booleans()):
        config["otherwise"] = draw(st.sampled_from(out))
    routed = {route["to"] for route in routes} | {config.get("otherwise")}
    return {
        "action": "branch",
        "config": config,
        "out": [name for name in out if name not in routed],
    }


def _merge(draw: st.DrawFn, out: list[str], mentions: list[str]) -> Stage:
    data = {"a": draw(st.integers(0, 3)), "m": f"${{{expression(draw, mentions)}}}"}
    return {"action": "merge_data", "config": {"data": data}, "out": out}


def _publish(draw: st.DrawFn, out: list[str], mentions: list[str]) -> Stage:
    config = {"topic": "out"}
    if draw(st.booleans()):
        config["value"] = expression(draw, mentions)
    return {"action": "publish", "config": config, "out": out}


STAGES: dict[str, Callable[[st.DrawFn, list[str], list[str]], Stage]] = {
    "kafka": lambda draw, out, mentions: {
        "action": "kafka",
        "config": {"topics": "in"},
        "out": out,
    },
    "filter": _filter,
    "set": _set,
    "value": _value,
    "fields": _fields,
    "each": _each,
    "branch": _branch,
    "noop": lambda draw, out, mentions: {"action": "noop", "out": out},
    "log": lambda draw, out, mentions: {
        "action": "log",
        "config": {"message": f"${{{expression(draw, mentions)}}}", "level": "debug"},
        "out": out,
    },
    "merge": _merge,
    "publish": _publish,
    "error": lambda draw, out, mentions: {"action": "error"},
    "caught": lambda draw, out, mentions: {
        "action": "map",
        "config": {"value": 'event["event"]'},
        "out": out,
    },
}
COMMON = ("set", "publish", "log")
KINDS = sorted(
    [*(STAGES.keys() - {"kafka"}), *COMMON * 4], key=lambda kind: (kind not in COMMON, kind)
)


class Interpreter:
    """Runs one flow. `written` counts what publish stages wrote, `failed` the dead letters per stage."""

    def __init__(self, flow: dict[str, Any]) -> None:
        self.stages = {stage["name"]: stage for stage in flow["stages"]}
        self.written: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def feed(self, event: Any, key: str | None) -> None:
        self.key, self.trigger = key, event
        self.send(self.stages["in"], event, {})

    def send(self, stage: Stage, output: Any, results: dict[str, Any]) -> None:
        for name in stage.get("out", ()):
            self.to(name, output, {**results, stage["name"]: output})

    def to(self, name: str, event: Any, results: dict[str, Any]) -> None:
        self.attempt(self.stages[name], event, results, lambda: self.run(name, event, results))

    def attempt(self, stage: Stage, event: Any, results: dict[str, Any], does: Any) -> None:
        try:
            does()
        except (TypeError, KeyError, IndexError, AttributeError, RuntimeError):
            policy = stage.get("on_error", "dead_letter")
            if policy == "dead_letter":
                self.failed[stage["name"]] += 1
            elif policy != "skip":
                self.to(policy, {"error": {}, "event": event, "source": {}}, results)

    def value(self, text: str, event: Any, results: dict[str, Any], **extra: Any) -> Any:
        known: defaultdict[str, Any] = defaultdict(lambda: None, results)
        names = {
            "event": event,
            "key": self.key,
            "results": known,
            "trigger": SimpleNamespace(event=self.trigger),
            **extra,
        }
        return deepcopy(eval(text, {"__builtins__": {}}, _Shadowed(names)))

    def run(self, name: str, event: Any, results: dict[str, Any]) -> None:
        stage = self.stages[name]
        config, action = stage.get("config", {}), stage["action"]
        if action == "error":
            raise RuntimeError
        if action == "filter":
            if self.value(config["where"], event, results):
                self.send(stage, event, results)
        elif action == "branch":
            self.branch(stage, event, results)
        elif action == "map" and "each" in config:
            items = self.value(config["each"], event, results)
            if not isinstance(items, list):
                raise TypeError
            for index, item in enumerate(items):
                self.attempt(
                    stage,
                    event,
                    results,
                    lambda i=index, one=item: self.item(stage, event, results, i, one),
                )
        elif action == "map":
            self.send(stage, self.mapped(config, event, results), results)
        elif action == "merge_data":
            added = self.value(config["data"]["m"][2:-1], event, results)
            self.send(stage, {**event, "a": config["data"]["a"], "m": added}, results)
        else:
            if action == "publish":
                value = self.value(config.get("value", "event"), event, results)
                self.written[json.dumps([value, self.key], sort_keys=True)] += 1
            self.send(stage, event, results)

    def branch(self, stage: Stage, event: Any, results: dict[str, Any]) -> None:
        config, took = stage["config"], False
        below = {**results, stage["name"]: event}
        for route in config["routes"]:
            if self.value(route["when"], event, results):
                took = True
                self.to(route["to"], event, below)
                if config["mode"] == "first":
                    break
        if not took and "otherwise" in config:
            self.to(config["otherwise"], event, below)
        self.send(stage, event, results)

    def item(
        self, stage: Stage, event: Any, results: dict[str, Any], index: int, item: Any
    ) -> None:
        text = stage["config"].get("value", "item")
        self.send(stage, self.value(text, event, results, item=item, index=index), results)

    def mapped(self, config: dict[str, Any], event: Any, results: dict[str, Any]) -> Any:
        if "value" in config:
            return self.value(config["value"], event, results)
        if "take" not in config and not any(config.values()):
            return event
        made = {
            name: self.value(text, event, results) for name, text in config.get("set", {}).items()
        }
        renamed = {new: event[old] for old, new in config.get("rename", {}).items()}
        if "take" in config:
            replaced = {*config.get("rename", {}), *renamed, *made}
            kept = {name: event[name] for name in config["take"] if name not in replaced}
        else:
            gone = {*config.get("drop", ()), *config.get("rename", {})}
            kept = {name: value for name, value in {**event}.items() if name not in gone}
        return {**kept, **renamed, **made}


class _Shadowed(dict[str, Any]):
    """The local names of `eval`."""
