"""The built wheel, installed into an environment of its own and used there."""

import subprocess
import sys
import venv
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that has nothing but the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=True)
    bin_folder = folder / "venv" / "bin"
    subprocess.run([bin_folder / "pip", "install", "--quiet", str(wheel)], check=True)
    return bin_folder


def run(installed: Path, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed / "headrace", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_has_every_command(installed: Path) -> None:
    done = run(installed, "--help")

    assert done.returncode == 0, done.stderr
    for command in (
        "run",
        "test",
        "validate",
        "plan",
        "schema",
        "topics",
        "demo",
        "broker",
        "doctor",
    ):
        assert f"\n  {command} " in done.stdout


def test_the_wheel_runs_the_test_cases_of_an_example(installed: Path, tmp_path: Path) -> None:
    for name in ("orders.yaml", "orders.test.yaml"):
        (tmp_path / name).write_text((ROOT / "examples" / name).read_text())

    done = run(installed, "test", "orders.yaml", "--json", folder=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "big orders get a total" in done.stdout


def test_the_wheel_plans_an_example(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text((ROOT / "examples" / "orders.yaml").read_text())

    done = run(installed, "plan", "--json", "orders.yaml", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "big-orders" in str(orjson.loads(done.stdout))


def test_the_wheel_says_what_is_missing_for_the_demo(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "demo", "--brokers", "127.0.0.1:9", folder=tmp_path)

    assert done.returncode == 4
    assert "pip install 'headrace[demo]'" in done.stderr


def test_the_wheel_brings_the_launcher_of_the_local_broker(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "broker", "status", folder=tmp_path)

    assert done.returncode in (0, 1), done.stderr
