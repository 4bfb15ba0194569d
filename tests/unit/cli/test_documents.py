"""The commands that look at flows and actions, and at no broker."""

import json
from pathlib import Path

from tests.unit.cli.conftest import ORDERS, Call


def test_validate_says_ok_with_a_line_per_flow(call: Call) -> None:
    result = call("validate", "orders.yaml")

    assert result.exit_code == 0
    assert result.stdout == "ok  orders: 3 stages in 1 sub-topology\n"


def test_validate_tells_every_problem_with_its_line(call: Call, tmp_path: Path) -> None:
    wrong = ORDERS.replace("publish", "publsh").replace("out: large", "out: larger")
    (tmp_path / "orders.yaml").write_text(wrong)

    text, as_json = call("validate", "orders.yaml"), call("validate", "orders.yaml", "--json")

    assert text.exit_code == as_json.exit_code == 3
    assert "error: orders.yaml:4: " in text.stderr
    problems = json.loads(as_json.stdout)["error"]["problems"]
    assert {problem["place"] for problem in problems} >= {"orders.yaml:4", "orders.yaml:6"}


def test_validate_as_json_counts_stages(call: Call) -> None:
    (flow,) = json.loads(call("validate", "orders.yaml", "--json").stdout)["flows"]

    assert (flow["name"], flow["stages"], flow["sub_topologies"]) == ("orders", 3, 1)


def test_plan_has_the_prefix_that_was_asked_for(call: Call) -> None:
    result = call("plan", "orders.yaml", "--prefix", "mine")

    assert result.exit_code == 0
    assert "flow orders  (group mine.orders)" in result.stdout
    assert "mine.orders.dead-letters" in result.stdout


def test_plan_shows_the_generated_code(call: Call) -> None:
    text = call("plan", "orders.yaml", "--code").stdout
    (module,) = json.loads(call("plan", "orders.yaml", "--code", "--json").stdout)["modules"]

    assert 'event["amount"] > 100' in text
    compile(text, "orders", "exec")
    assert module["source"].strip() in text


def test_plan_draws(call: Call) -> None:
    assert call("plan", "orders.yaml", "--dot").stdout.startswith('digraph "orders" {')
    assert call("plan", "orders.yaml", "--mermaid").stdout.startswith("flowchart LR")


def test_a_drawing_is_no_json(call: Call) -> None:
    assert call("plan", "orders.yaml", "--dot", "--json").exit_code == 2


def test_a_setting_that_does_not_exist_is_named(call: Call) -> None:
    result = call("plan", "orders.yaml", "--set", "partition=3")

    assert result.exit_code == 4
    assert "did you mean 'partitions'?" in result.stderr


def test_schema_is_json_schema_of_flows_or_of_an_action(call: Call) -> None:
    flow, action = json.loads(call("schema").stdout), json.loads(call("schema", "publish").stdout)

    assert flow["title"] == "headrace flow"
    assert "topic" in action["properties"]


def test_schema_of_an_unknown_action_suggests_one(call: Call) -> None:
    result = call("schema", "pubish")

    assert result.exit_code == 2
    assert "did you mean 'publish'?" in result.stderr


def test_actions_tells_what_each_does_and_where_it_is_from(call: Call) -> None:
    found = {each["name"]: each for each in json.loads(call("actions", "--json").stdout)["actions"]}

    assert found["filter"]["shape"] == "inline"
    assert found["kafka"]["shape"] == "trigger"
    assert found["publish"]["package"].startswith("headrace ")
    assert found["publish"]["summary"].startswith("Writes every record")
    assert "publish" in call("actions").stdout


def test_test_runs_the_cases_beside_the_flows(call: Call, tmp_path: Path) -> None:
    case = """
    flow: orders.yaml
    tests:
      - name: large orders are published
        input: [{value: {amount: 200}}, {value: {amount: 1}}]
        expect: {totals: [{value: {amount: 200}}]}
    """
    (tmp_path / "orders.test.yaml").write_text(case)

    passing = call("test", ".")
    (tmp_path / "orders.test.yaml").write_text(case.replace("amount: 1}", "amount: 201}"))
    failing = call("test", ".", "--json")

    assert passing.exit_code == 0
    assert "passed  large orders are published" in passing.stdout
    assert failing.exit_code == 1
    assert json.loads(failing.stdout)["failed"] == 1


def test_test_fails_where_there_is_no_test(call: Call) -> None:
    assert call("test", "orders.yaml").exit_code == 1
