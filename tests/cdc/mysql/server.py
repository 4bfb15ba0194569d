"""A MariaDB of the test's own: a process with a folder and a port."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pymysql

from headrace.runtime.clock import SystemClock

PASSWORD = "s3cret-word"
START_S = 60.0
GRANTS = (
    f"CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
    "GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.* TO reader@'127.0.0.1'",
    "CREATE DATABASE shop",
)
CONFIGURATION = """
[mysqld]
user={user}
datadir={folder}/data
port={port}
bind-address=127.0.0.1
socket={folder}/s
pid-file={folder}/pid
log-error={folder}/log
server-id=11
log-bin=log
binlog-format=ROW
binlog-row-image=FULL
binlog-row-metadata=FULL
innodb-buffer-pool-size=32M
innodb-log-file-size=16M
skip-name-resolve
{more}
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class MariadbServer:
    """Started and stopped by its test; `sql` speaks to it as its administrator."""

    def __init__(self, folder: Path, more: Sequence[str] = ()) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        user = "root" if os.geteuid() == 0 else ""
        text = CONFIGURATION.format(
            folder=folder, port=self.port, user=user or os.getlogin(), more="\n".join(more)
        )
        self._configuration = folder / "my.cnf"
        self._configuration.write_text(text)

    @property
    def url(self) -> str:
        return f"mariadb://reader:{PASSWORD}@127.0.0.1:{self.port}/shop"

    def install(self) -> None:
        """Make the folder of its data, and the user that captures."""
        command = [
            _program("mariadb-install-db"),
            f"--defaults-file={self._configuration}",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        self.start()
        self.sql(*GRANTS)

    def start(self) -> None:
        command = [_program("mariadbd"), f"--defaults-file={self._configuration}"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        clock = SystemClock()
        until_s = clock.monotonic_s() + START_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port)):
                    pass
            except OSError:
                log = self.folder / "log"
                assert self._process.poll() is None, log.read_text()[-2000:]
                assert clock.monotonic_s() < until_s, log.read_text()[-2000:]
                clock.sleep(0.05)
            else:
                return

    def connect(self, **settings: Any) -> Any:
        return pymysql.connect(
            unix_socket=str(self.folder / "s"), user="root", autocommit=True, **settings
        )

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements one after the other in one session; the rows of the last one."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, sign: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(sign)
            self._process.wait(START_S)
            self._process = None


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    assert found, f"{name} is not installed; on Debian: apt-get install mariadb-server"
    return found
