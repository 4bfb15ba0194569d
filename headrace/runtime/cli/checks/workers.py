"""Checks of what running workers tell: circuits that are open, feeds that do not write."""

import json
from collections.abc import Iterator
from typing import Any

from headrace.runtime.address import parse_address
from headrace.runtime.cli.checks.finding import Finding, fail, ok, warn
from headrace.runtime.contracts.broker import Admin
from headrace.runtime.errors import RetriableError
from headrace.runtime.http.client import ask
from headrace.runtime.plan import Plan, feeds_of
from headrace.runtime.settings import WorkerSettings
from headrace.runtime.worker.client_ids import address_of


def check_workers(plan: Plan, admin: Admin, settings: WorkerSettings) -> Iterator[Finding]:
    """Asks every worker of the flow's group that answers HTTP; finds nothing where none does."""
    calling = [node.name for node in plan.graph.nodes if node.calling is not None]
    fed = [stage for stage, _ in feeds_of(plan)]
    if not calling and not fed:
        return
    token = settings.http_token.get_secret_value() if settings.http_token else None
    addresses = {address_of(one.client_id) for one in admin.group_members(plan.group)} - {None}
    problems: list[Finding] = []
    answered = 0
    for address in sorted(str(one) for one in addresses):
        try:
            answer = ask(parse_address(address), "/state", token=token)
        except RetriableError as error:
            problems.append(warn(f"{plan.name}: worker", str(error), "see the log of that worker"))
            continue
        if answer.is_found:
            answered += 1
            problems += _problems(plan.name, address, json.loads(answer.body))
    yield from problems
    if answered and not problems:
        what = ", ".join(f"'{name}'" for name in (*calling, *fed))
        yield ok(
            f"{plan.name}: outside", f"{what} {'are' if len(calling) + len(fed) > 1 else 'is'} well"
        )


def _problems(flow: str, address: str, told: dict[str, Any]) -> Iterator[Finding]:
    for one in told.get("calls", ()):
        if one["flow"] != flow:
            continue
        for target, state in one["circuits"].items():
            if state != "closed":
                what = f"the circuit to '{target}'" if target else "the circuit"
                yield warn(
                    f"{flow}: {one['stage']}",
                    f"{what} is {state.replace('_', ' ')} at {address}: it has failed too often",
                    "look at the target; records wait meanwhile, and go on when it answers",
                )
    for one in told.get("feeds", ()):
        if one["flow"] == flow and one["state"] == "failed":
            yield fail(
                f"{flow}: {one['stage']}", one["text"], "mend it; it is begun anew by itself"
            )
        elif one["flow"] == flow and one["state"] == "retrying":
            yield warn(f"{flow}: {one['stage']}", one["text"], "it is tried again by itself")
