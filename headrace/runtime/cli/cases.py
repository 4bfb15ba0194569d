"""`headrace test`."""

import click

from headrace.runtime.cli.command import Command
from headrace.runtime.cli.failure import EXIT_FAILED
from headrace.runtime.cli.options import common_options, paths_argument

STYLES = {"good": "green", "bad": "red", "weak": "dim", "plain": ""}


@click.command(
    cls=Command, examples=["headrace test flows/", "headrace test orders.test.yaml --json"]
)
@paths_argument(is_required=True)
@click.option(
    "--min-coverage",
    type=click.FloatRange(0, 100),
    default=0.0,
    metavar="PERCENT",
    help="Fail when the tests reach fewer of the stages and routes.",
)
@common_options
@click.pass_context
def test(ctx: click.Context, /, paths: tuple[str, ...], min_coverage: float, as_json: bool) -> None:
    """Run the test cases of flows on the memory engine, without a broker.

    PATHS are flows, files of tests, and folders with both; the tests of `orders.yaml` are in `orders.test.yaml` beside
    it. Exits with 1 when a test fails, when there is none, or when they reach too little.
    """
    import logging

    from headrace.runtime.cli.output import print_json, stdout
    from headrace.runtime.testcases import run_tests
    from headrace.runtime.testcases.text import lines_of

    # Failing records are what many tests are about; the report tells of those that nobody expects.
    logging.getLogger("headrace").addHandler(logging.NullHandler())
    report = run_tests(paths)
    is_covered = report.coverage_percent >= min_coverage
    if as_json:
        print_json(report.as_dict())
    else:
        console = stdout()
        for line in lines_of(report):
            console.print(line.text, style=STYLES[line.tone], soft_wrap=True)
        if not is_covered:
            console.print(
                f"coverage is below {min_coverage:g} %", style=STYLES["bad"], soft_wrap=True
            )
    if not (report.is_passed and report.suites and is_covered):
        ctx.exit(EXIT_FAILED)
