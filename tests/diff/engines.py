"""The two engines of a differential run: a `precinct demo` of one node and a private MariaDB, and statements asked of both."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pymysql

START_SECONDS_MAX = 120
STATEMENT_SECONDS_MAX = 120
# What both sessions begin with. ONLY_FULL_GROUP_BY is MySQL's default and not MariaDB's.
SQL_MODE = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
DATABASE = "test"


class Engine:
    """A server and the session that statements run in."""

    def __init__(self, name, where):
        self.name, self.where = name, where
        self.connection = None
        self.fresh()

    def connect(self, database=None):
        return pymysql.connect(**self.where, user="root", charset="utf8mb4", autocommit=True, database=database, local_infile=True,
                               read_timeout=STATEMENT_SECONDS_MAX, conv={}, init_command=f"SET sql_mode = '{SQL_MODE}', time_zone = '+00:00', collation_connection = utf8mb4_general_ci, group_concat_max_len = 1024")  # fmt: skip

    def fresh(self):
        """A new session in an empty database."""
        if self.connection and self.connection.open:
            self.connection.close()
        self.connection = self.connect()
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW DATABASES")
            for (name,) in cursor.fetchall():
                name = name.decode() if isinstance(name, bytes) else name
                if name not in ("information_schema", "mysql", "performance_schema", "sys"):
                    cursor.execute(f"DROP DATABASE `{name}`")
            cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
            cursor.execute(f"USE {DATABASE}")

    def ask(self, statement):
        """The answer to a statement."""
        if not self.connection.open:
            self.connection = self.connect(DATABASE)
        try:
            with self.connection.cursor() as cursor:
                affected = cursor.execute(statement)
                if cursor.description:
                    answer = Answer(columns=[column[0] for column in cursor.description], rows=list(cursor.fetchall()))
                else:
                    answer = Answer(affected=affected)
                if self.connection.show_warnings:
                    cursor.execute("SHOW WARNINGS")
                    answer.warnings = sorted(int(row[1]) for row in cursor.fetchall())
                return answer
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args else 0
            if code in (0, 2006, 2013, 2014, 2055):
                self.connection.close()
                return Answer(error=2013, text=f"the connection was lost: {error}")
            return Answer(error=code, text=str(error.args[1]))


class Answer:
    """What a statement gave."""

    def __init__(self, columns=None, rows=None, affected=None, error=None, text=""):
        self.columns, self.affected, self.error, self.text = columns, affected, error, text
        self.rows = rows and [tuple(shown(value) for value in row) for row in rows]
        self.warnings = []

    def __str__(self):
        if self.error:
            return f"ERROR {self.error}: {self.text[:200]}"
        if self.columns is None:
            return f"{self.affected} affected"
        lines = [" | ".join(self.columns), *(" | ".join(row) for row in (self.rows or [])[:12])]
        return "\n".join(lines)


def shown(value):
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return "0x" + value.hex()
    return str(value)


def same_number(a, b):
    """Whether two texts are one DOUBLE: the engines print a different number of digits."""
    try:
        a, b = float(a), float(b)
    except ValueError:
        return False
    return a == b or abs(a - b) <= 1e-13 * max(abs(a), abs(b))


def same_row(a, b):
    # Of texts that are equal but for case any may stand for a group: golden scripts say which case functions give.
    return len(a) == len(b) and all(x.lower() == y.lower() or (("e" in x.lower() or "." in x) and same_number(x, y)) for x, y in zip(a, b))


def folded(row):
    return [value.lower() for value in row]


def difference(ours, theirs, names=True):
    """What is different between two answers, in a word; empty for nothing."""
    if ours.error or theirs.error:
        return "" if ours.error == theirs.error else "error"
    if (ours.columns is None) != (theirs.columns is None):
        return "kind"
    if ours.columns is None:
        return "" if ours.affected == theirs.affected else "affected"
    if names and ours.columns != theirs.columns:
        return "names"
    a, b = ours.rows or [], theirs.rows or []
    if len(a) != len(b):
        return "rows"
    if not all(map(same_row, a, b)) and not all(map(same_row, sorted(a, key=folded), sorted(b, key=folded))):
        return "rows"
    return ""


class Servers:
    """Starts both, and stops both at the end."""

    def __init__(self, folder, port, precinct):
        self.folder, self.port, self.precinct = pathlib.Path(folder), port, precinct
        self.started = []

    def __enter__(self):
        data, socket = self.folder / "mariadb", self.folder / "maria.sock"
        user = ["--user=root"] if os.geteuid() == 0 else []
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db", *user],
                       check=True, capture_output=True)  # fmt: skip
        maria = subprocess.Popen(["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}", "--skip-networking", "--character-set-server=utf8mb4",
                                  "--collation-server=utf8mb4_general_ci", "--local-infile=1", "--max-statement-time=60", *user],
                                 stdin=subprocess.DEVNULL, stdout=(self.folder / "mariadb.log").open("w"), stderr=subprocess.STDOUT)  # fmt: skip
        self.started.append((maria, lambda: maria.send_signal(signal.SIGTERM)))
        ready = self.folder / "ready.json"
        demo = subprocess.Popen([self.precinct, "demo", "--sample", "none", "--nodes", "1", "--data", self.folder / "precinct", "--mysql-port", str(self.port),
                                 "--http-port", str(self.port + 20), "--node-port", str(self.port + 40), "--ready-file", ready],
                                stdin=subprocess.DEVNULL, stdout=(self.folder / "demo.log").open("w"), stderr=subprocess.STDOUT)  # fmt: skip
        stop = lambda: subprocess.run([self.precinct, "demo", "stop", "--mysql-port", str(self.port)], capture_output=True)
        self.started.append((demo, stop))
        deadline = time.monotonic() + START_SECONDS_MAX
        while not (ready.exists() and socket.exists()):
            if demo.poll() is not None or maria.poll() is not None or time.monotonic() > deadline:
                sys.exit((self.folder / "demo.log").read_text() + (self.folder / "mariadb.log").read_text())
            time.sleep(0.1)
        json.loads(ready.read_text())
        self.ours = Engine("precinct", {"host": "127.0.0.1", "port": self.port})
        self.theirs = Engine("MariaDB", {"unix_socket": str(socket)})
        return self

    def __exit__(self, *_):
        for process, stop in reversed(self.started):
            stop()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
