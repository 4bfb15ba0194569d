"""The graph check: everything wrong with a flow that its types do not show, all at once."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from headrace.runtime.actions import installed_actions, load_action
from headrace.runtime.contracts.action import Action, KeyedAction, TriggerAction
from headrace.runtime.contracts.call import BatchAction
from headrace.runtime.duration import format_duration
from headrace.runtime.errors import FlowError, HeadraceError, Problem
from headrace.runtime.expression import ExpressionError
from headrace.runtime.flow import Flow, Stage, describe_validation, did_you_mean, load_flows
from headrace.runtime.graph.calling import TIMEOUT_MAX, Calling, RetryIf
from headrace.runtime.graph.config_paths import parts_of, path_to
from headrace.runtime.graph.mentions import paths_of
from headrace.runtime.graph.model import Graph, Node
from headrace.runtime.graph.names import unknown_names
from headrace.runtime.graph.order import find_cycle, reachable, topological_order

POLICIES = ("dead_letter", "skip", "fail")
UNSUPPORTED = ("compensate",)
CALLS = ("retry", "timeout", "breaker", "rate_limit", "buffer")
"""Policies of stages that call the outside."""


def check_flows(flows: Sequence[Flow]) -> list[Graph]:
    """The graphs of several flows.

    Raises:
        FlowError: with the problems of all of them.
    """
    graphs: list[Graph] = []
    problems: list[Problem] = []
    for flow in flows:
        try:
            graphs.append(check_flow(flow))
        except FlowError as error:
            problems.extend(error.problems)
    if problems:
        raise FlowError(problems)
    return graphs


def check_paths(paths: Iterable[str | Path]) -> list[Graph]:
    """The graphs of all flows in files and folders.

    Raises:
        FlowError: with the problems of the documents and of their graphs, in order of file and line.
    """
    try:
        return check_flows(load_flows(paths))
    except FlowError as error:
        if not error.readable:
            raise
        found = error
    problems = list(found.problems)
    try:
        check_flows([flow for flow in found.readable if isinstance(flow, Flow)])
    except FlowError as error:
        problems += error.problems
    raise FlowError(sorted(problems, key=_place_of))


def _place_of(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.place.rpartition(":")
    return (file, int(line)) if line.isdigit() else (problem.place, 0)


def check_flow(flow: Flow) -> Graph:
    """The graph of a flow.

    Raises:
        FlowError: with every problem, in document order.
    """
    check = _Check(flow)
    graph = check.graph()
    if check.problems:
        raise FlowError([problem for *_, problem in sorted(check.problems, key=lambda p: p[:2])])
    return graph


class _Check:
    """One pass over one flow; collects problems as (line, number of the stage, problem)."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.problems: list[tuple[int, int, Problem]] = []
        self.index = {stage.name: i for i, stage in reversed(list(enumerate(flow.stages)))}
        self.actions: dict[int, Action] = {}

    def graph(self) -> Graph:
        self._flow_itself()
        for i, stage in enumerate(self.flow.stages):
            self._names(i, stage)
            self._policies(i, stage)
            self._action(i, stage)
            self._targets(i, stage)
        nodes = {
            stage.name: self._node(i, stage)
            for i, stage in enumerate(self.flow.stages)
            if self.index[stage.name] == i
        }
        targets = {
            name: [t for t in node.targets if t in self.index] for name, node in nodes.items()
        }
        self._shape(nodes, targets)
        self._expressions(nodes, targets)
        order = topological_order(targets)
        return Graph(self.flow, tuple(nodes[name] for name in order), nodes)

    def problem(self, index: int, text: str, *path: str | int) -> None:
        """Note a problem of the stage at `index` (-1: of the flow)."""
        path = path if index < 0 else ("stages", index, *path)
        place = self.flow.place(*path)
        if index < 0:
            who = f"flow '{self.flow.name}'"
        else:
            who = f"stage '{self.flow.stages[index].name}'"
            if not place:
                who = f"flow '{self.flow.name}': {who}"
        self.problems.append((self.flow.line(*path), index, Problem(place, f"{who}{text}")))

    def _flow_itself(self) -> None:
        if not self.flow.name:
            self.problem(-1, " has an empty name; give it one", "name")
        if not self.flow.stages:
            self.problem(
                -1, " has no stages; begin with a trigger, such as `action: kafka`", "stages"
            )
        handler = self.flow.defaults.on_error if self.flow.defaults else None
        if handler and handler not in POLICIES and handler not in self.index:
            known = [*POLICIES, *self.index]
            self.problem(
                -1,
                f": defaults.on_error '{handler}' is neither {', '.join(POLICIES)} nor a stage"
                f"{did_you_mean(handler, known)}",
                "defaults",
                "on_error",
            )
        for key in UNSUPPORTED:
            if self.flow.defaults and getattr(self.flow.defaults, key, None) is not None:
                self.problem(-1, f": {_unsupported(key)}", "defaults", key)

    def _names(self, i: int, stage: Stage) -> None:
        first = self.index[stage.name]
        if first != i:
            where = self.flow.place("stages", first)
            self.problem(
                i, f" has the name of stage {first + 1}{f' ({where})' if where else ''}", "name"
            )
            return
        if not stage.name:
            self.problem(i, f": stage {i + 1} has an empty name; give it one", "name")
        for other in self.flow.stages[:i]:
            if other.slug != stage.slug or other.name == stage.name:
                continue
            renamed = [one for one in (stage, other) if one.renamed_from is not None]
            if renamed:
                text = (
                    f" and stage '{other.name}' would share the topics and the state of '{stage.slug}':"
                    f" '{renamed[0].name}' is renamed from '{renamed[0].renamed_from}'; give the other one another name"
                )
                self.problem(i, text, "renamed_from" if stage in renamed else "name")
            else:
                text = f" and stage '{other.name}' both become '{stage.slug}' in topic names; rename one"
                self.problem(i, text, "name")

    def _policies(self, i: int, stage: Stage) -> None:
        for key in UNSUPPORTED:
            if getattr(stage, key, None) is not None:
                self.problem(i, f": {_unsupported(key)}", key)
        if stage.on_error == stage.name and stage.on_error not in POLICIES:
            self.problem(
                i,
                " names itself in on_error; a stage cannot receive its own errors, name another one",
                "on_error",
            )
        elif stage.on_error and stage.on_error not in POLICIES and stage.on_error not in self.index:
            known = [*POLICIES, *self.index]
            self.problem(
                i,
                f": on_error '{stage.on_error}' is neither {', '.join(POLICIES)} nor a stage"
                f"{did_you_mean(stage.on_error, known)}",
                "on_error",
            )

    def _action(self, i: int, stage: Stage) -> None:
        if stage.action not in installed_actions():
            known = installed_actions()
            hint = (
                did_you_mean(stage.action, known) or f"; installed are {', '.join(sorted(known))}"
            )
            self.problem(i, f" has the unknown action '{stage.action}'{hint}", "action")
            return
        try:
            kind = load_action(stage.action)
            config = kind.Config.model_validate(dict(stage.config))
        except ValidationError as error:
            found = describe_validation(
                error, kind.Config, dict(stage.config), beside=Stage.model_fields
            )
            for path, text in found:
                self.problem(i, f" ({stage.action}): {text}", "config", *path)
            return
        except HeadraceError as error:
            self.problem(i, f": {error}", "action")
            return
        action = kind(config).specialised()
        if isinstance(action, TriggerAction):
            action = action.placed(self.flow.slug, stage.slug)
        self.actions[i] = action
        for text in action.problems():
            field = text.partition(":")[0]
            path = (field,) if field in kind.Config.model_fields else ()
            self.problem(i, f" ({stage.action}): {text}", "config", *path)
        self._calling(i, stage, action)
        if stage.out and action.is_terminal:
            self.problem(
                i,
                f" sends to {_quoted(stage.out)}, but '{stage.action}' never forwards a record",
                "out",
            )

    def _calling(self, i: int, stage: Stage, action: Action) -> None:
        """Policies of calls belong to stages that call, and must be of use there."""
        if not isinstance(action, BatchAction):
            for key in CALLS:
                if getattr(stage, key) is not None:
                    self.problem(
                        i,
                        f": '{key}' is for stages that call something outside; '{stage.action}' computes its result from"
                        " the record alone, so that another try gives the same; remove it",
                        key,
                    )
            return
        for name, template in action.settings().items():
            known = template.reads - {"env", "secret"}
            if known:
                self.problem(
                    i,
                    f" ({stage.action}): {name}: is needed before any record is read, so that it can mention"
                    f" env and secret only, found {_quoted(sorted(known))}",
                    "config",
                    name,
                )
        policies = self.flow.policies(stage)
        if policies.timeout is not None and policies.timeout > TIMEOUT_MAX:
            self.problem(
                i,
                f": timeout: must not be longer than {format_duration(TIMEOUT_MAX)}, found {format_duration(policies.timeout)}:"
                " a worker that waits for so long is put out of its group",
                "timeout",
            )
        retry_if = policies.retry.retry_if if policies.retry is not None else None
        if retry_if is not None:
            try:
                RetryIf(retry_if)
            except ExpressionError as error:
                self.problem(i, f": retry.retry_if: {error}", "retry", "retry_if")

    def _targets(self, i: int, stage: Stage) -> None:
        for number, target in enumerate(stage.out):
            if target not in self.index:
                self.problem(
                    i,
                    f" sends to '{target}', which does not exist{did_you_mean(target, self.index)}",
                    "out",
                    number,
                )
        action = self.actions.get(i)
        for target in action.outputs() if action else ():
            if target not in self.index:
                self.problem(
                    i,
                    f" routes to '{target}', which does not exist{did_you_mean(target, self.index)}",
                    "config",
                    *path_to(target, stage.config),
                )

    def _node(self, i: int, stage: Stage) -> Node:
        action = self.actions.get(i) or Action(Action.Config())
        defaults = self.flow.defaults.on_error if self.flow.defaults else None
        policy = stage.on_error or defaults or "dead_letter"
        if (
            stage.on_error is None
            and policy not in POLICIES
            and self._is_at_or_behind(policy, stage.name)
        ):
            policy = "dead_letter"
        handler = policy if policy not in POLICIES and policy != stage.name else None
        return Node(
            i,
            stage,
            action,
            tuple(dict.fromkeys(stage.out)),
            action.outputs(),
            policy,
            handler,
            Calling(action, self.flow.policies(stage)) if isinstance(action, BatchAction) else None,
        )

    def _is_at_or_behind(self, start: str, stage: str) -> bool:
        """Whether a default handler stage comes before `stage`: its own failures cannot go back to it."""
        if start not in self.index:
            return False
        targets: dict[str, list[str]] = {}
        for i, known in enumerate(self.flow.stages):
            action = self.actions.get(i)
            names = (
                *known.out,
                *(action.outputs() if action else ()),
                *([known.on_error] if known.on_error else ()),
            )
            targets[known.name] = [name for name in names if name in self.index]
        return stage in reachable(targets, [start])

    def _shape(self, nodes: dict[str, Node], targets: dict[str, list[str]]) -> None:
        on_cycles: set[str] = set()
        while cycle := find_cycle(_without(on_cycles, targets)):
            on_cycles.update(cycle)
            line = " -> ".join(f"'{name}'" for name in cycle)
            self.problem(
                self.index[cycle[0]], f" is on a cycle: {line}; a flow must come to an end", "out"
            )
        triggers = [name for name, node in nodes.items() if node.is_trigger]
        if self.flow.stages and not triggers and len(self.actions) == len(self.flow.stages):
            self.problem(-1, " has no trigger; begin with one, such as `action: kafka`", "stages")
        for name, sent in targets.items():
            for target in sent:
                if target in triggers:
                    self.problem(
                        self.index[name],
                        f" sends to '{target}', which is a trigger; triggers have no inputs",
                        "out",
                    )
        for name in triggers:
            if nodes[name].is_linked:
                self.problem(
                    self.index[name],
                    " is a trigger and reads a topic already; remove `link`",
                    "link",
                )
        if triggers:
            reached = reachable(targets, {*triggers, *on_cycles})
            for name in nodes:
                if name not in reached and self.index[name] in self.actions:
                    self.problem(
                        self.index[name],
                        " is reached by no trigger; name it in the `out` of a stage or remove it",
                    )

    def _expressions(self, nodes: dict[str, Node], targets: dict[str, list[str]]) -> None:
        sources: dict[str, list[str]] = {name: [] for name in targets}
        for name, sent in targets.items():
            for target in sent:
                sources[target].append(name)
        for name, node in nodes.items():
            before = reachable(sources, sources[name])
            for path, part in parts_of(node.action.config):
                for text in unknown_names(part, name, nodes, before):
                    self.problem(node.index, text, "config", *path)
            if isinstance(node.action, KeyedAction):
                self._keyed(node, node.action, sources[name])
        self._ended_runs(nodes, targets, sources)

    def _keyed(self, node: Node, action: KeyedAction, senders: Sequence[str]) -> None:
        least, most = action.inputs
        senders = list(dict.fromkeys(senders))
        if len(senders) < least or (most is not None and len(senders) > most):
            wanted = f"{least}" if least == most else f"at least {least}"
            if most is not None and least != most:
                wanted = f"{least} to {most}"
            who = _quoted(senders) or "none"
            self.problem(
                node.index,
                f" ({node.stage.action}) takes records of {wanted} stages, found {len(senders)}: {who}",
                "action",
            )
            return
        for text in action.check_inputs(senders):
            self.problem(node.index, f" ({node.stage.action}): {text}", "config")

    def _ended_runs(
        self,
        nodes: dict[str, Node],
        targets: dict[str, list[str]],
        sources: dict[str, list[str]],
    ) -> None:
        """Results of many records belong to no single run: stages behind them cannot mention what came before."""
        for name, node in nodes.items():
            if not isinstance(node.action, KeyedAction) or node.action.is_per_record:
                continue
            before = reachable(sources, sources[name])
            for later in sorted(reachable(targets, targets[name]) - {name}):
                for path, part in parts_of(nodes[later].action.config):
                    for mentioned in sorted(paths_of(part)):
                        root, _, field = mentioned.partition(".")
                        if (root == "results" and field in before) or root == "trigger":
                            self.problem(
                                nodes[later].index,
                                f" mentions '{mentioned}', but stage '{name}' ({node.stage.action}) between them makes"
                                " its results of many records; let it keep what is needed, such as `last(event.x)`",
                                "config",
                                *path,
                            )


def _without(names: set[str], targets: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        name: [target for target in sent if target not in names]
        for name, sent in targets.items()
        if name not in names
    }


def _unsupported(key: str) -> str:
    return f"'{key}' is not carried out by this version of the engine; remove it"


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
