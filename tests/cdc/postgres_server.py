"""A PostgreSQL of the tests' own: Debian's binaries, a data folder that goes with the tests, a free loopback port."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

PASSWORD = "open sesame"
_SETTINGS = {
    "wal_level": "logical",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_replication_slots": "40",
    "max_wal_senders": "40",
    "fsync": "off",  # the tests kill processes, not machines
    "shared_buffers": "64MB",
    "lc_messages": "C",
    "timezone": "Asia/Tokyo",  # so that nothing relies on UTC
}


def binaries() -> Path:
    """The folder of the newest installed server."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4])
    )
    if not found:
        raise RuntimeError("the tests need a PostgreSQL server: apt-get install -y postgresql")
    return found[-1].parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class PostgresServer:
    """Runs as the user `postgres` where the tests run as root, which the server refuses."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._bin = binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
        self._is_root = os.geteuid() == 0
        if self._is_root:
            shutil.chown(self._folder, user="postgres")
        self._data = self._folder / "data"
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._is_root:
            shutil.chown(password, user="postgres")
        self._run(
            "initdb", "-D", str(self._data), "-U", "admin", "--pwfile", str(password),
            "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        lines = {**_SETTINGS, **(settings or {}), "port": str(self.port)}
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in lines.items())
        with (self._data / "pg_hba.conf").open("a") as file:
            file.write("host replication all 127.0.0.1/32 scram-sha-256\n")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        options: dict[str, Any] = {}
        if self._is_root:
            user = pwd.getpwnam("postgres")
            options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run(
            command, check=True, cwd=self._folder, capture_output=True, timeout=120, **options
        )

    def start(self) -> None:
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", str(self._folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is what a power cut leaves behind."""
        self._run("pg_ctl", "stop", "-w", "-D", str(self._data), "-m", mode)

    def remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, dbname: str, user: str = "admin", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password.replace(' ', '%20')}@127.0.0.1:{self.port}/{dbname}"

    def connect(self, dbname: str = "postgres") -> "psycopg.Connection[Any]":
        """A connection in autocommit mode; for the caller to close."""
        return psycopg.connect(self.url(dbname), autocommit=True)

    def execute(self, dbname: str, *statements: str) -> Sequence[tuple[Any, ...]]:
        """Run statements; the rows of the last one."""
        with self.connect(dbname) as client:
            for statement in statements:
                found = client.execute(statement)
            return found.fetchall() if found.description else []
