#!/usr/bin/env python3
"""Loads the Sakila dump, as it is, into one node of ours and into MariaDB, and compares what both make of it.

    tables      every row of every table; the locations of addresses, which MariaDB passes over, with the text of the dump
    views       every row
    programs    functions over all customers and inventories, procedures for films and months
    triggers    what INSERT, UPDATE and DELETE leave in film_text; dates that triggers set
    foreign     keys: what is refused, and what cascades

A statement of the dump that fails, and every difference, is printed; the run goes on, and fails at its end.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "diff"))
from engines import Servers, difference  # noqa: E402

PORT = 18_700
LOAD_SECONDS_MAX = 300
# MySQL has a number of its own for it (8.4 manual, "Server Error Message Reference", 3730).
OWN_ERRORS = {(3730, 1451)}
# Both sessions live then: what is "last month" and "now" is known.
THEN = "2005-08-15 12:00:00"

PROGRAMS = [
    "SELECT customer_id, get_customer_balance(customer_id, '2005-08-01') FROM customer ORDER BY customer_id",
    "SELECT customer_id, get_customer_balance(customer_id, '2006-03-01') FROM customer ORDER BY customer_id",
    "SELECT inventory_id, inventory_held_by_customer(inventory_id), inventory_in_stock(inventory_id) FROM inventory ORDER BY inventory_id",
    *(statement for film in (1, 2, 17, 100, 404, 999) for store in (1, 2)
      for statement in (f"CALL film_in_stock({film}, {store}, @a)", f"CALL film_not_in_stock({film}, {store}, @b)", "SELECT @a, @b")),
    "CALL rewards_report(0, 20.00, @n)",
    "CALL rewards_report(5, 0.00, @n)",
    "CALL rewards_report(7, 20.00, @n)",
    "SELECT @n",
    "CALL rewards_report(1, 200.00, @n)",
    "SELECT @n",
]  # fmt: skip

TRIGGERS = [
    "INSERT INTO film (title, description, language_id) VALUES ('NEW ONE', 'A film of today', 1), ('NEW TWO', NULL, 2)",
    "SELECT * FROM film_text WHERE film_id > 1000 ORDER BY film_id",
    "UPDATE film SET title = 'RENAMED' WHERE title = 'NEW ONE'",
    "UPDATE film SET rating = 'R' WHERE film_id <= 3",
    "SELECT * FROM film_text WHERE film_id > 1000 OR film_id <= 3 ORDER BY film_id",
    "DELETE FROM film WHERE title = 'NEW TWO'",
    "SELECT film_id, title FROM film_text WHERE film_id > 998 ORDER BY film_id",
    "INSERT INTO customer (store_id, first_name, last_name, address_id, create_date) VALUES (1, 'A', 'B', 5, '1999-01-01')",
    "SELECT store_id, first_name, create_date, active FROM customer WHERE customer_id > 599",
    "INSERT INTO rental (rental_date, inventory_id, customer_id, staff_id) VALUES ('1999-01-01', 1, 1, 1)",
    "SELECT rental_date, return_date FROM rental WHERE rental_id > 16049",
    "INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date) VALUES (1, 1, 1, 9.99, '1999-01-01')",
    "SELECT amount, payment_date FROM payment WHERE payment_id > 16049",
    "SELECT TRIGGER_NAME, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_STATEMENT, ACTION_TIMING FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'sakila' ORDER BY 1",
]  # fmt: skip

FOREIGN = [
    "DELETE FROM actor WHERE actor_id = 1",
    "DELETE FROM film WHERE film_id = 1",
    "INSERT INTO film_actor (actor_id, film_id) VALUES (9999, 1)",
    "INSERT INTO film_actor (actor_id, film_id) VALUES (1, 9999)",
    "UPDATE store SET manager_staff_id = 99 WHERE store_id = 1",
    "UPDATE film SET language_id = 77 WHERE film_id = 5",
    "DELETE FROM language WHERE language_id = 1",
    "DELETE FROM language WHERE language_id = 6",
    "DROP TABLE language",
    "TRUNCATE TABLE language",
    "UPDATE actor SET actor_id = 5001 WHERE actor_id = 1",
    "SELECT actor_id, COUNT(*), SUM(film_id) FROM film_actor WHERE actor_id IN (1, 5001) GROUP BY actor_id",
    "UPDATE customer SET customer_id = 7001 WHERE customer_id = 42",
    "SELECT 'rentals', COUNT(*) FROM rental WHERE customer_id = 7001 UNION ALL SELECT 'payments', COUNT(*) FROM payment WHERE customer_id = 7001",
    "DELETE FROM rental WHERE rental_id = 76",
    "SELECT payment_id, rental_id, amount FROM payment WHERE customer_id = 1 ORDER BY payment_id",
    "DELETE FROM country WHERE country_id = 1",
    "REPLACE INTO category (category_id, name) VALUES (1, 'Action')",
    "INSERT IGNORE INTO city (city, country_id) VALUES ('Nowhere', 9999)",
    "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, UPDATE_RULE, DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = 'sakila' ORDER BY 2, 1",
    "SELECT TABLE_NAME, COLUMN_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = 'sakila' AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY 1, 3",
]  # fmt: skip


class Comparison:
    """Asks both and counts what is different."""

    def __init__(self, servers):
        self.servers, self.asked, self.different = servers, 0, 0

    def same(self, statement, theirs=None):
        ours, theirs = self.servers.ours.ask(statement), self.servers.theirs.ask(theirs or statement)
        self.asked += 1
        for answer in (ours, theirs):
            # The order within GROUP_CONCAT is nobody's promise.
            answer.rows = answer.rows and [tuple(", ".join(sorted(value.split(", "))) for value in row) for row in answer.rows]
        what = difference(ours, theirs)
        if what and (ours.error, theirs.error) not in OWN_ERRORS:
            self.wrong(statement, f"{what}\n--- ours\n{ours}\n--- MariaDB\n{theirs}")
        return ours

    def wrong(self, what, how):
        self.different += 1
        print(f"\nDIFFERENT: {what}\n{how}", flush=True)


def load(where, folder):
    """Runs the dump's two files with the client, on after each failure; what failed."""
    failed = []
    for name in ("sakila-schema.sql", "sakila-data.sql"):
        with (folder / name).open() as text:
            command = ["mariadb", "--no-defaults", "--force", "--default-character-set=utf8mb4", "-uroot", *where]
            done = subprocess.run(command, stdin=text, capture_output=True, text=True, timeout=LOAD_SECONDS_MAX)
        failed += [f"{name}: {line}" for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return failed


def locations(text):
    """The locations in the dump's INSERT of addresses: those of all addresses, in order."""
    return [point.upper() for point in re.findall(r"/\*!50705 0x([0-9A-Fa-f]+),?\s*\*/", text)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precinct", required=True)
    parser.add_argument("--sakila", required=True, type=pathlib.Path, help="folder of sakila-schema.sql and sakila-data.sql")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="precinct-sakila-") as folder, Servers(folder, PORT, options.precinct) as servers:
        both = Comparison(servers)
        for engine, where in (
            (servers.ours, ["-h127.0.0.1", f"-P{PORT}", "--skip-ssl"]),
            (servers.theirs, [f"--socket={servers.theirs.where['unix_socket']}"]),
        ):
            failed = load(where, options.sakila)
            print(f"{engine.name}: the dump is loaded, {len(failed)} statements failed", flush=True)
            for line in failed:
                print(f"  {line}")
            both.different += len(failed) if engine is servers.ours else 0
            engine.ask("USE sakila")
            engine.ask(f"SET timestamp = UNIX_TIMESTAMP('{THEN}')")

        # MariaDB does not know that the columns of a table depend on its primary key.
        servers.theirs.ask("SET sql_mode = REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY,', '')")
        tables, rows = [], 0
        listed = servers.theirs.ask("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'sakila' AND TABLE_TYPE = 'BASE TABLE' ORDER BY 1")
        for (table,) in listed.rows:
            columns = servers.theirs.ask(f"SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'sakila' AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION")
            names = ", ".join(f"`{name}`" for (name,) in columns.rows)
            tables.append(f"SELECT {names} FROM `{table}` ORDER BY 1, 2")
            rows += len(both.same(tables[-1]).rows or [])
        print(f"tables: {len(tables)}, {rows:,} rows", flush=True)
        points = [row[1] for row in servers.ours.ask("SELECT address_id, HEX(location) FROM address ORDER BY address_id").rows or []]
        written = locations((options.sakila / "sakila-data.sql").read_text())
        if points != written:
            both.wrong("locations of addresses", f"{len(points)} are stored, {len(written)} stand in the dump: {points[:2]} {written[:2]}")

        views = servers.theirs.ask("SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'sakila' ORDER BY 1").rows
        for (view,) in views:
            answer = both.same(f"SELECT * FROM `{view}`")
            print(f"view {view}: {len(answer.rows or []):,} rows", flush=True)
        for what, statements in (("programs", PROGRAMS), ("triggers", TRIGGERS), ("foreign keys", FOREIGN), ("tables at the end", tables)):
            before = both.different
            for statement in statements:
                both.same(statement)
            print(f"{what}: {len(statements)} statements, {both.different - before} different", flush=True)
        print(f"{both.asked} statements compared, {both.different} different or failed")
        sys.exit(1 if both.different else 0)


if __name__ == "__main__":
    main()
