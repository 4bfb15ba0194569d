"""What becomes of the state of a flow when its document changes: kept, carried over, begun anew, refused or left behind.

A stage's state belongs to its changelog topic, whose name holds the stage's first name, and its shape tells what is in it. So
two documents are compared stage by stage, and a document with a running group, whose shapes are in its changelogs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from shlex import quote
from typing import Any, Final, Literal

from headrace.runtime.contracts.action import Migration
from headrace.runtime.duration import format_duration
from headrace.runtime.plan.model import Plan, PlannedStore

Shape = Mapping[str, Any]
Status = Literal["kept", "renamed", "migrated", "new", "rebuild", "refused", "orphaned"]
"""
======== ==========================================================================================
kept     the same shape; settings that shapes leave out may have changed
renamed  the same under another name
migrated of another shape, which the worker turns into the new one when a task begins
new      begins empty
rebuild  of another meaning (a key, a window): a worker refuses it; it can be built anew
refused  not of this action, or not in these partitions: a worker refuses it
orphaned no stage has it any more
======== ==========================================================================================
"""
REFUSED: Final = ("rebuild", "refused")
ORDER: Final[Sequence[Status]] = ("kept", "renamed", "migrated", "rebuild", "refused")
ROLES: Final = ("changelog", "repartition", "link")
"""Topics that carry a stage's name."""


@dataclass(frozen=True, kw_only=True)
class EarlierStage:
    """A stage as it was: its topics by role, and what is known of its state.

    `shapes` are those of its tasks, each once; empty where nothing was written yet. `stage` and `config` are None where only
    topics tell of it.
    """

    topics: Mapping[str, str]
    shapes: Sequence[Shape] = ()
    partitions: int | None = None
    stage: str | None = None
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of one stage's state. `topics` are those to delete when they are not needed any more."""

    stage: str
    status: Status
    text: str
    remedy: str = ""
    topics: tuple[str, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether a worker refuses to start."""
        return self.status in REFUSED


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """What becomes of one flow. `flow` is its name."""

    flow: str
    group: str
    changes: tuple[Change, ...]
    is_new: bool = False
    is_gone: bool = False

    @property
    def can_roll_out(self) -> bool:
        """Whether workers with the new document start."""
        return not any(change.is_refused for change in self.changes)


def earlier_stages(plan: Plan) -> dict[str, EarlierStage]:
    """The stages of an earlier document that have topics of their own, by the slug in the names of these."""
    shapes = {store.stage: store.shape for store in plan.stores}
    found: dict[str, EarlierStage] = {}
    for slug, (name, topics) in _topics_of(plan).items():
        shape = shapes.get(name)
        found[slug] = EarlierStage(
            topics=topics,
            shapes=() if shape is None else (shape,),
            stage=name,
            config=plan.graph.by_name[name].stage.config,
        )
    return found


def _topics_of(plan: Plan) -> dict[str, tuple[str, dict[str, str]]]:
    """Per slug the stage and its topics by role."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for topic in plan.topics:
        if topic.role in ROLES and topic.name:
            node = plan.graph.by_name[topic.stages[0]]
            found.setdefault(node.stage.slug, (node.name, {}))[1][topic.role] = topic.name
    return found


def evolution(
    plan: Plan, earlier: Mapping[str, EarlierStage] | None, counts: Mapping[str, int] | None = None
) -> Evolution:
    """What becomes of every stage with state, and of topics that no stage has any more, in the document's order.

    `earlier` are the stages by the slugs in their topics, None when the flow was not there; `counts` how many partitions a
    worker would want changelogs to have.
    """
    known = earlier or {}
    own = _topics_of(plan)
    changes: list[Change] = []
    for store in sorted(plan.stores, key=lambda one: plan.graph.by_name[one.stage].index):
        slug = plan.graph.by_name[store.stage].stage.slug
        before = known.get(slug)
        if before is None or "changelog" not in before.topics:
            changes.append(_new(plan, store, known, own))
        else:
            changes.append(_compared(plan, store, before, (counts or {}).get(store.changelog)))
    changes += _orphans(known, own)
    return Evolution(
        flow=plan.name, group=plan.group, changes=tuple(changes), is_new=earlier is None
    )


def gone(plan: Plan) -> Evolution:
    """What is left of a flow that is not there any more."""
    changes = tuple(_orphans(earlier_stages(plan), {}))
    return Evolution(flow=plan.name, group=plan.group, changes=changes, is_gone=True)


def migration(plan: Plan, store: PlannedStore, before: Shape) -> Migration | None:
    """How a stage can go on with state of another shape; None when it cannot."""
    action = plan.graph.by_name[store.stage].keyed
    assert action is not None
    own = action.shape()
    added = [
        name for name in {*store.shape, *before} if name in ("key", "sides") and name not in own
    ]
    if any(store.shape.get(name) != before.get(name) for name in added):
        return None
    return action.migration(before)


def difference(before: Shape, after: Shape) -> str:
    """What differs between two shapes, in plain words."""
    if before.get("action") != after.get("action"):
        return (
            f"was the state of {before.get('action', '?')}, is that of {after.get('action', '?')}"
        )
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "; ".join(
        f"{name.replace('_', ' ')} was {_told(name, before.get(name))}, is {_told(name, after.get(name))}"
        for name in names
    )


def _told(name: str, value: Any) -> str:
    """A part of a shape for people."""
    if value is None or value == {} or value == []:
        return "the record's own" if name.endswith("key") else "none"
    if name == "window":
        return " ".join(f"{kind} {_length(value, length)}" for kind, length in value.items())
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_told('', part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(_told("", part) for part in value)
    return str(value)


def _length(window: Mapping[str, Any], length: int) -> str:
    return str(length) if "count" in window else format_duration(timedelta(milliseconds=length))


def _new(
    plan: Plan,
    store: PlannedStore,
    known: Mapping[str, EarlierStage],
    own: Mapping[str, tuple[str, Mapping[str, str]]],
) -> Change:
    stage = plan.graph.by_name[store.stage].stage
    for slug, earlier in known.items():
        if earlier.stage == stage.renamed_from is not None and slug != stage.slug:
            remedy = f"'{earlier.stage}' was renamed before and its topics say '{slug}': write renamed_from: {slug}"
            return Change(stage=stage.name, status="new", text="begins empty", remedy=remedy)
    for slug, earlier in known.items():
        if slug not in own and store.shape in earlier.shapes:
            remedy = f"if it is '{earlier.stage or slug}' under another name, write renamed_from: {earlier.stage or slug}"
            return Change(stage=stage.name, status="new", text="begins empty", remedy=remedy)
    return Change(stage=stage.name, status="new", text="begins empty")


def _compared(plan: Plan, store: PlannedStore, before: EarlierStage, count: int | None) -> Change:
    found = [_with_shape(plan, store, before, shape) for shape in before.shapes]
    worst = max(found, key=lambda change: ORDER.index(change.status), default=None)
    if before.partitions is not None and count is not None and before.partitions != count:
        return Change(
            stage=store.stage,
            status="refused",
            text=f"has state in {before.partitions} partitions, and would read {count}",
            remedy=f"go back to {before.partitions} partitions, or {anew(plan, store)}",
        )
    if worst is not None:
        return worst
    return Change(stage=store.stage, status="kept", text="is empty as yet")


def _with_shape(plan: Plan, store: PlannedStore, before: EarlierStage, shape: Shape) -> Change:
    name = store.stage
    if shape == store.shape:
        settings = _settings(plan, store, before)
        if before.stage is not None and before.stage != name:
            words = [f"was '{before.stage}'", settings]
            return Change(stage=name, status="renamed", text="; ".join(filter(None, words)))
        return Change(stage=name, status="kept", text=settings)
    found = migration(plan, store, shape)
    if found is not None:
        return Change(stage=name, status="migrated", text=found.summary)
    is_same = shape.get("action") == store.shape.get("action")
    return Change(
        stage=name,
        status="rebuild" if is_same else "refused",
        text=difference(shape, store.shape),
        remedy=anew(plan, store),
    )


def anew(plan: Plan, store: PlannedStore) -> str:
    """How a stage is begun with empty state, where it cannot use what it has."""
    file = plan.graph.flow.place("name").rpartition(":")[0]
    command = f"headrace reset {quote(file or 'flows/')} --stage {quote(store.stage)}"
    return f"give the stage another name to begin empty beside it, or throw its state away with `{command}`"


def _settings(plan: Plan, store: PlannedStore, before: EarlierStage) -> str:
    """Which fields of the config have changed, all of them such as shapes leave out."""
    if before.config is None:
        return ""
    after = plan.graph.by_name[store.stage].stage.config
    changed = [
        name for name in {**before.config, **after} if before.config.get(name) != after.get(name)
    ]
    return f"settings changed: {', '.join(changed)}" if changed else ""


def _orphans(
    known: Mapping[str, EarlierStage], own: Mapping[str, tuple[str, Mapping[str, str]]]
) -> Iterator[Change]:
    for slug, before in known.items():
        name, topics = own.get(slug, ("", {}))
        left = tuple(topic for role, topic in before.topics.items() if topics.get(role) != topic)
        if not left:
            continue
        stage = before.stage or slug
        is_read = any(not topic.endswith(".changelog") for topic in left)
        what = (
            "is not there any more" if not name else f"reads and keeps less than before ('{name}')"
        )
        unread = "; records in it that were not read yet are lost, so let the flow catch up first"
        yield Change(
            stage=stage,
            status="orphaned",
            text=what + (unread if is_read else ""),
            remedy=f"delete {', '.join(left)}",
            topics=left,
        )
