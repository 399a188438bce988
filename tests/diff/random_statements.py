#!/usr/bin/env python3
"""Random statements over random tables, asked of us and of MariaDB 10.11; and two oracles on us alone.

A difference that `explained` does not know is made as small as it gets and printed as a script: tables, rows, statement,
both answers. The oracles need no second engine (Rigger and Su, OOPSLA 2020 and ESEC/FSE 2020):

    TLP     the rows of a query are those where p is true, those where it is false, and those where it is unknown
    NoREC   as many rows pass WHERE p as rows have p true in a query that cannot use p to find them

One seed gives the same statements again: --seed.
"""

import argparse
import collections
import os
import random
import re
import shutil
import sys
import tempfile
import time

from engines import Servers, difference
from generate import Generator, Node

PORT = 18_400
# Statements over the same tables, and how deep their expressions are.
ROUND_STATEMENTS = 150
DEPTH = 3
SHRINK_STATEMENTS_MAX = 400
# Relative difference of sums of quotients that have four digits and of those that have nine.
QUOTIENT_SLACK = 1e-3
# Errors that depend on the order of evaluation: one engine meets the value, the other one left it out before.
VALUE_ERRORS = {1690, 1264, 1365, 1411, 1292, 1525, 1366, 22003, 1406, 3020}


def explained(statement, ours, theirs):
    """Why a difference is right, or empty. MySQL 8.4's manual says what counts."""
    if ours.error in VALUE_ERRORS or theirs.error in VALUE_ERRORS:
        return "the order in which conditions are computed is open (manual 14.4.1)"
    if theirs.error == 1064 or theirs.error == 1235:
        return "MariaDB has no such syntax"
    if theirs.error in (1054, 1109) and not ours.error:
        return "MariaDB does not let this place see the column"
    if ours.error in (1055, 1140) or theirs.error == 1055:
        return "functional dependence (manual 14.19.3): MariaDB knows less of it"
    if "FIELD(" in statement and re.search("(LEFT|RIGHT) JOIN", statement) and not ours.error and not theirs.error:
        return "MariaDB takes FIELD() for NULL when an argument is, and the outer join for an inner one; it is 0 (manual 14.8)"
    if "REPLACE(" in statement and re.search("(LEFT|RIGHT) JOIN", statement) and not ours.error and not theirs.error:
        return "MariaDB takes the outer join for an inner one, as if REPLACE() were NULL when its last argument is; it is not where nothing is looked for"
    if "/" in statement and not theirs.error and any(re.fullmatch(r"-?9+\.9+", value) for row in theirs.rows or [] for value in row):
        return "MariaDB cuts a quotient to what its temporary table's column takes"
    if re.search(r"/|AVG\(", statement) and nearly_equal(ours, theirs):
        return "how many digits of a quotient what is around it sees depends on the plan: those of a temporary table, or all that were computed"
    if re.search("DISTINCT|GROUP BY|UNION", statement) and without_blanks(ours) == without_blanks(theirs) is not None:
        return "which of several equal texts stands for all of them is open (manual 10.8.5)"
    if re.search(r"\.[ij] NOT IN \(SELECT x\d+\.u ", statement) and not ours.error and not theirs.error:
        return "MariaDB takes a negative number for one that is not in a list of unsigned ones with a NULL"
    if re.search(r"([<>=]|IN|BETWEEN) \(.* / | / .*\) ([<>=]|IN|BETWEEN)", statement) and not ours.error and not theirs.error:
        return "MariaDB compares a quotient by the digits it shows, MySQL by all that were computed"
    if re.search(r"CAST\(.* DIV .* AS CHAR\)", statement) and not ours.error and not theirs.error:
        return "MariaDB cuts the text of a DIV by -1"
    if re.search("(FIRST|LAST|NTH)_VALUE|ROW_NUMBER|LAG|LEAD|NTILE", statement) and " JOIN " in statement and not ours.error and not theirs.error:
        return "rows that a join repeats are peers in the window's order: which is the first or last of them is open (manual 14.20.2)"
    if re.search(r"(\w+\.\w+) = (\w+\.\w+)\b.*(\2 <=> \1|\1 <=> \2)\b", statement):
        return "MariaDB reads a = b AND a <=> b over an index as a <=> b"
    if theirs.error == 2013 and not ours.error:
        return "MariaDB lost the connection"
    return ""


def without_blanks(answer):
    """The rows with small letters and no blanks behind texts, in an order of their own; None for an error."""
    return None if answer.error else sorted([[str(value).rstrip(" ").lower() for value in row] for row in answer.rows or []])


def nearly_equal(ours, theirs):
    """Whether rows differ in digits of decimals only, behind the third one."""
    if ours.error or theirs.error or len(ours.rows or []) != len(theirs.rows or []):
        return False
    number = lambda text: float(text) if re.fullmatch(r"-?\d+\.\d+", text) else None
    cut = lambda value: value if number(value) is None else f"{number(value):.2g}"
    order = lambda rows: sorted(rows or [], key=lambda row: [cut(value) for value in row])
    for a, b in zip(order(ours.rows), order(theirs.rows)):
        for x, y in zip(a, b):
            if x.lower() != y.lower() and (number(x) is None or number(y) is None or abs(number(x) - number(y)) > QUOTIENT_SLACK * max(1, abs(number(x)))):
                return False
    return True


class Run:
    def __init__(self, servers, options):
        self.servers, self.options = servers, options
        self.counts, self.findings = collections.Counter(), 0

    def both(self, statement):
        return self.servers.ours.ask(statement), self.servers.theirs.ask(statement)

    def tables(self, generator):
        self.history = list(generator.tables())
        for engine in (self.servers.ours, self.servers.theirs):
            engine.fresh()
            for statement in self.history:
                answer = engine.ask(statement)
                if answer.error and answer.error != 1062:
                    sys.exit(f"{engine.name}: {statement}: {answer}")

    def differs(self, statement):
        ours, theirs = self.both(str(statement))
        found = difference(ours, theirs)
        return (found, ours, theirs) if found and not explained(str(statement), ours, theirs) else None

    def query(self, generator):
        node = generator.query(DEPTH)
        ours, theirs = self.both(str(node))
        self.counts["queries"] += 1
        if not ours.error:
            self.counts["queries with rows"] += bool(ours.rows)
        found = difference(ours, theirs)
        if not found:
            self.counts["errors on both sides"] += bool(ours.error)
            return
        if why := explained(str(node), ours, theirs):
            self.counts[f"explained: {why}"] += 1
            return
        self.report(self.smallest(node, self.differs), "queries", None)

    def change(self, generator):
        statement = str(generator.change())
        table = re.search(r"\bt\d\b", statement)[0]
        ours, theirs = self.both(statement)
        self.counts["changes"] += 1
        found = difference(ours, theirs)
        rows = self.both(f"SELECT * FROM {table} ORDER BY id")
        if not found and not difference(*rows):
            self.history.append(statement)
            return True
        why = explained(statement, ours, theirs)
        if why:
            self.counts[f"explained: {why}"] += 1
        else:
            self.report((statement, found or "rows", ours if found else rows[0], theirs if found else rows[1]), "changes", None)
        return False

    def tlp(self, generator):
        source, condition, scope = generator.partition(DEPTH)
        items = ", ".join(text for kind, text in scope[:4] if kind != "dbl")
        node = Node("oracle", "{}\n{}", [source, condition])
        self.counts["TLP"] += 1

        def broken(node):
            source, condition = node.children
            whole = self.servers.ours.ask(f"SELECT {items} FROM {source}")
            parts = [self.servers.ours.ask(f"SELECT {items} FROM {source} WHERE {form}") for form in (condition, f"NOT ({condition})", f"({condition}) IS NULL")]
            if whole.error or any(part.error for part in parts):
                return None
            together = sorted(row for part in parts for row in part.rows or [])
            return ("TLP", whole, parts[0]) if together != sorted(whole.rows or []) else None

        if broken(node):
            self.report(self.smallest(node, broken), "TLP", items)

    def norec(self, generator):
        source, condition, _ = generator.partition(DEPTH)
        node = Node("oracle", "{}\n{}", [source, condition])
        self.counts["NoREC"] += 1

        def broken(node):
            source, condition = node.children
            found = self.servers.ours.ask(f"SELECT COUNT(*) FROM {source} WHERE {condition}")
            plain = self.servers.ours.ask(f"SELECT COALESCE(SUM(({condition}) IS TRUE), 0) FROM {source}")
            if found.error or plain.error:
                return None
            return ("NoREC", found, plain) if found.rows != plain.rows else None

        if broken(node):
            self.report(self.smallest(node, broken), "NoREC", None)

    def smallest(self, node, differs):
        """The smallest tree that still differs, what is different, and both answers."""
        best, verdict = node, differs(node)
        if verdict is None:
            return str(node), "once only", "differed once", "did not differ again"
        tried, found = 0, True
        while found and tried < SHRINK_STATEMENTS_MAX:
            found = False
            for less in sorted(best.smaller(), key=Node.size):
                if less.size() >= best.size() and len(str(less)) >= len(str(best)):
                    continue
                tried += 1
                if tried > SHRINK_STATEMENTS_MAX:
                    break
                if again := differs(less):
                    best, verdict, found = less, again, True
                    break
        return str(best), *verdict

    def report(self, finding, what, items):
        statement, kind, ours, theirs = finding
        self.findings += 1
        self.counts[f"FINDINGS in {what}"] += 1
        indent = lambda answer: str(answer).replace("\n", "\n        ")
        names = ("ours", "MariaDB") if what in ("queries", "changes") else ("one way", "the other way")
        print(f"\nFINDING {self.findings} ({what}, {kind}), seed {self.options.seed}, round {self.round}{f', of {items}' if items else ''}\n    {statement}\n"
              f"    {names[0]}:\n        {indent(ours)}\n    {names[1]}:\n        {indent(theirs)}", flush=True)  # fmt: skip
        if self.findings <= self.options.keep:
            name = f"finding-{self.options.seed}-{self.findings}.sql"
            with open(os.path.join(self.options.out, name), "w") as out:
                out.write(";\n".join([*self.history, statement]) + ";\n")

    def run(self):
        done, self.round = 0, self.options.first_round
        started = time.monotonic()
        while done < self.options.statements and self.findings < self.options.findings_max:
            generator = Generator(random.Random(f"{self.options.seed} {self.round}"))
            self.tables(generator)
            for _ in range(min(ROUND_STATEMENTS, self.options.statements - done)):
                done += 1
                form = generator.rng.choices([self.query, self.change, self.tlp, self.norec], [70, 10, 10, 10])[0]
                if form(generator) is False:
                    # The tables differ now: others.
                    break
                if self.findings >= self.options.findings_max:
                    break
            self.round += 1
        self.counts["statements"] = done
        print(f"{time.monotonic() - started:.0f} s; " + ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items())))
        return self.findings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("statements", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first-round", type=int, default=0, help="begin with this round of the seed")
    parser.add_argument("--findings-max", type=int, default=20, help="end after so many")
    parser.add_argument("--keep", type=int, default=20, help="scripts of findings to write")
    parser.add_argument("--out", default=".", help="where they go")
    parser.add_argument("--precinct", default=os.environ.get("PRECINCT_BIN", "precinct"))
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="precinct-diff-")
    try:
        with Servers(folder, PORT, options.precinct) as servers:
            found = Run(servers, options).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
