import io
import logging
from dataclasses import replace

import pytest
from rich.console import Console

from headrace.runtime.cli.output import print_table
from headrace.runtime.cli.progress import LogProgress, Rate, Tick, live_table
from headrace.runtime.cli.restoring import percent, restoring_text
from headrace.runtime.cli.summary import print_summary, summary_document
from headrace.runtime.flow import parse_flows
from headrace.runtime.graph import check_flow
from headrace.runtime.plan import Plan, build_plan
from headrace.runtime.worker.processes import Report
from tests.unit.cli.conftest import ORDERS

REPORT = Report(
    records_read=12_345,
    commits=7,
    aborts=1,
    partitions=4,
    written={("orders", "totals"): 12_000},
    failed={("orders", "large", "dead_letter"): 3, ("orders", "large", "skip"): 2},
)


@pytest.fixture
def plan() -> Plan:
    (flow,) = parse_flows(ORDERS)
    return build_plan(check_flow(flow))


def console() -> Console:
    return Console(file=io.StringIO(), width=100, highlight=False, markup=False)


def text_of(written: Console) -> str:
    assert isinstance(written.file, io.StringIO)
    return written.file.getvalue()


def test_the_live_table_has_the_worker_in_a_line_and_a_row_per_flow(plan: Plan) -> None:
    written = console()

    written.print(live_table([plan], Tick(3.0, REPORT, {"headrace.orders": 9}, 4_115.0)))

    first, _, row = (line.split() for line in text_of(written).splitlines())
    assert first == [
        "12,345",
        "records",
        "read",
        "4,115/s",
        "7",
        "commits",
        "4",
        "partitions",
        "3",
        "s",
        "1",
        "aborted",
    ]
    assert row == ["orders", "12,000", "5", "9"]


def test_a_lag_that_is_not_known_is_a_dash(plan: Plan) -> None:
    written = console()

    written.print(live_table([plan], Tick(3.0, REPORT, {}, 0.0)))

    assert text_of(written).splitlines()[-1].split()[-1] == "-"


def test_a_log_line_comes_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    progress = LogProgress()
    caplog.set_level(logging.INFO, "headrace.run")

    for seconds in range(1, 26):
        progress.show(Tick(float(seconds), REPORT, {"headrace.orders": 9}, 1_000.0))

    assert [record.getMessage() for record in caplog.records] == [
        "12,345 records read (1,000/s), 12,000 written, 5 failed, 7 commits, lag 9"
    ] * 2


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()

    rates = [rate.of(float(second), 1_000 * min(second, 5)) for second in range(11)]

    assert rates[0] == 0
    assert rates[5] == 1_000
    assert rates[10] == 0


def test_the_summary_tells_what_became_of_failures_and_where_to_look(plan: Plan) -> None:
    written = console()

    print_summary(written, [plan], REPORT, 10.0)

    assert text_of(written) == (
        "flow    stage   written  failed\n"
        "orders  large            3 to dead letters, 2 skipped\n"
        "orders  totals   12,000\n"
        "12,345 records read in 10.0 s (1,234/s), 7 commits, 1 transaction aborted\n"
        "flow 'orders': 3 records in 'headrace.orders.dead-letters'; headrace dlq ls orders tells why\n"
    )


def test_a_summary_of_nothing_has_no_table(plan: Plan) -> None:
    written = console()

    print_summary(written, [plan], Report(), 0.0)

    assert text_of(written) == "0 records read in 0.0 s (0/s), 0 commits\n"
    assert summary_document([plan], Report(), 0.0)["dead_letters"] == {}


def test_long_cells_of_a_table_are_not_cut_off() -> None:
    written = console()

    print_table(written, ["name", "count"], [["n" * 200, "1"], ["é", "1,000"]], " >")

    assert text_of(written).splitlines()[1:] == [
        "n" * 200 + "      1",
        "é" + " " * 199 + "  1,000",
    ]


RESTORING = replace(
    REPORT, waiting=2, restored=1_200_000, to_restore=4_000_000, restored_per_s=400_000
)


def test_a_run_whose_tasks_wait_shows_how_far_they_are(plan: Plan) -> None:
    written = console()

    written.print(live_table([plan], Tick(3.0, RESTORING, {}, 0.0)))

    assert text_of(written).splitlines()[1] == (
        "━" * 24 + "  restoring 2 tasks: 30 %, 400,000/s, 7 s left"
    )
    assert restoring_text(RESTORING) == (
        "2 tasks wait for their state: 1,200,000 of 4,000,000 records (30 %), 400,000/s, 7 s left"
    )


def test_what_is_not_known_of_restoring_is_left_out() -> None:
    assert restoring_text(replace(RESTORING, waiting=0)) == ""
    assert (
        restoring_text(replace(RESTORING, waiting=1, to_restore=0)) == "1 task waits for its state"
    )
    assert restoring_text(replace(RESTORING, restored_per_s=0)).endswith("(30 %), 0/s")
    assert percent(replace(RESTORING, restored=3_999_999)) == 99


def test_a_log_line_tells_that_tasks_wait(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "headrace.run")

    LogProgress().show(Tick(10.0, RESTORING, {}, 0.0))

    assert "7 commits; 2 tasks wait for their state" in caplog.text
