#!/usr/bin/env python3
"""The statements of the golden scripts, asked of us and of MariaDB 10.11: rows, numbers of errors and of rows changed.

The expected text of a script is what `make test` compares our answers with; here the same statements are asked once more, of
both engines. A difference is a failure unless `accepted.txt` names its statement and says why it is right: the section of
MySQL's manual, since what MySQL 8.4 says is what counts. An entry that no difference needs is a failure too.

Skipped, and counted: statements of other nodes and of several sessions, words that only the scripts' runner knows, and
statements that only we have.
"""

import argparse
import collections
import os
import pathlib
import re
import shutil
import sys
import tempfile

from engines import Servers, difference

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "sql/src/testscripts"
ACCEPTED = pathlib.Path(__file__).with_name("accepted.txt")
PORT = 18_300
# Words of the runner of `session` scripts.
RUNNER = re.compile(r"^(later|oracle-ahead|collect|remove-dropped|counters|memory|lose|elect|follow|close|catch-up|entries|split|add-partitions|misdirect|spoil|await|bye|lose-quorum)\b")
# What only we have, or what shows a cluster.
OURS = re.compile(r"(shardkey|noshardkey|SHARD BY|/\*\s*(sets|proxy|slave|shardkey)|PLACEMENT|SEQUENCE|NEXTVAL|\bSHARDS?\b|BROADCAST|tdsql_distributed|TDSQL|DISTRIBUTED|RETENTION|"
                  r"AUTO_PARTITION|CHANGE SHARDKEY|ADMIN |AS OF|REBALANCE|\bDDL\b|HOT|\bXA\b|precinct|EXPLAIN|DESCRIBE SELECT|PROCESSLIST|performance_schema|SHOW (ENGINE|VARIABLES|STATUS|COLLATION|CHARACTER|"
                  r"CREATE|TABLE STATUS|INDEX|GLOBAL|SESSION|PLUGINS|PRIVILEGES|EVENTS|GRANTS)|information_schema|@@|VERSION\(|CONNECTION_ID|INCLUDE \()", re.I)  # fmt: skip


def commands(path):
    """(tags, session, statement) of each command of a script."""
    found, output = [], False
    for line in path.read_text().split("\n"):
        if not line:
            output = False
        elif line == "---":
            output = True
        elif not output and (match := re.match(r"^(?:\[([^\]]*)\])?\s*(?:([a-z0-9]+):)?> ?(.*)$", line)):
            tags, session, statement = match.groups()
            found.append((set((tags or "").split(",")) - {""}, session, statement))
    return found


# A script of which more is left out has other tables and rows here than where it belongs.
SKIPPED_SHARE_MAX = 0.5
# Numbers of MariaDB's errors for what it does not have at all: our answer stays what the script expects.
UNKNOWN_TO_MARIADB = {1064: "syntax", 1235: "syntax", 1305: "function", 1582: "form of a function", 1273: "collation", 1115: "character set", 1193: "variable", 1628: "comment"}


def accepted():
    """The accepted differences: (script, pattern of the statement), or ("error", "ours theirs"), and why."""
    entries = {}
    for line in ACCEPTED.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            script, pattern, why = (part.strip() for part in line.split(" :: "))
            entries[(script, pattern)] = why
    return entries


def is_comparable(tags, session, statement):
    """Whether a statement can be asked of both, alone."""
    return session in (None, "main") and not tags - {"sort", "count"} and not RUNNER.match(statement) and not OURS.search(statement)


def run_script(path, servers, entries, used, counts, show):
    name = f"{path.parent.name}/{path.name}"
    is_expression = path.parent.name == "expr"
    if is_expression and path.name == "information":
        return 0
    if not is_expression:
        known = commands(path)
        left_out = sum(not is_comparable(*command) for command in known)
        if left_out > SKIPPED_SHARE_MAX * len(known):
            counts["skipped"] += len(known)
            counts["scripts skipped"] += 1
            return 0
    servers.ours.fresh()
    servers.theirs.fresh()
    if is_expression:
        for engine in (servers.ours, servers.theirs):
            engine.ask("SET timestamp = 1709210096.789012")
            engine.ask("SET collation_connection = utf8mb4_general_ci")
    wrong = 0
    for tags, session, statement in commands(path):
        if not is_comparable(tags, session, statement):
            counts["skipped"] += 1
            continue
        text = f"SELECT {statement}" if is_expression else statement
        ours, theirs = servers.ours.ask(text), servers.theirs.ask(text)
        counts["compared"] += 1
        found = difference(ours, theirs, names=not is_expression)
        if not found:
            continue
        if theirs.error in UNKNOWN_TO_MARIADB and ours.error != theirs.error:
            counts[f"unknown to MariaDB ({UNKNOWN_TO_MARIADB[theirs.error]})"] += 1
            continue
        if theirs.error == 1146 and ours.error != 1146:
            # Its CREATE TABLE was left out, or MariaDB refused it, which was said then.
            counts["of a table that MariaDB has not"] += 1
            continue
        pair = ("error", f"{ours.error or 'none'} {theirs.error or 'none'}")
        entry = pair if pair in entries else next((key for key in entries if key[0] in (name, "*") and re.search(key[1], statement)), None)
        if entry:
            used.add(entry)
            counts["accepted"] += 1
            continue
        wrong += 1
        counts[f"differ ({found})"] += 1
        if show:
            indent = lambda answer: str(answer).replace("\n", "\n        ")
            print(f"{name}: {found}: {statement}\n    ours:\n        {indent(ours)}\n    MariaDB:\n        {indent(theirs)}", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", help="only these, as query/joins; all of expr, query and session otherwise")
    parser.add_argument("--precinct", default=os.environ.get("PRECINCT_BIN", "precinct"))
    parser.add_argument("--summary", action="store_true", help="only numbers for each script")
    options = parser.parse_args()
    paths = [SCRIPTS / name for name in options.scripts] or [path for group in ("expr", "query", "session") for path in sorted((SCRIPTS / group).iterdir())]
    entries, used, counts = accepted(), set(), collections.Counter()
    folder = tempfile.mkdtemp(prefix="precinct-diff-")
    failed = 0
    try:
        with Servers(folder, PORT, options.precinct) as servers:
            for path in paths:
                before = collections.Counter(counts)
                wrong = run_script(path, servers, entries, used, counts, not options.summary)
                failed += wrong
                said = counts - before
                print(f"{path.parent.name}/{path.name}: {said['compared']} compared, {said['accepted']} accepted, {wrong} differ, {said['skipped']} skipped", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    if not options.scripts:
        for script, pattern in entries.keys() - used:
            print(f"accepted.txt: nothing differs at {script} :: {pattern}")
            failed += 1
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
