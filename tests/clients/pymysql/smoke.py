"""PyMySQL: text protocol, both password plugins, RSA login on plain TCP, TLS, transactions, 100,000 rows."""

import datetime
import decimal
import os
import ssl

import pymysql

HOST, PORT = os.environ["PRECINCT_HOST"], int(os.environ["PRECINCT_PORT"])
PASSWORD = os.environ["PRECINCT_PASSWORD"]


def connect(**options):
    return pymysql.connect(**{"host": HOST, "port": PORT, "user": "root", "charset": "utf8mb4", **options})


def fails(code, work):
    try:
        work()
    except pymysql.MySQLError as error:
        assert error.args[0] == code, error
    else:
        raise AssertionError(f"should have failed with {code}")


root = connect()
cursor = root.cursor()
cursor.execute("DROP DATABASE IF EXISTS py")
cursor.execute("CREATE DATABASE py")
cursor.execute("USE py")
cursor.execute(
    "CREATE TABLE t (id BIGINT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(20,5), f DOUBLE, s VARCHAR(50), b BLOB, day DATE, at DATETIME(6))"
)
row = (
    -(2**63),
    2**64 - 1,
    decimal.Decimal("-123456789012345.67891"),
    0.1,
    "naïve 伟 \\ ' \" \n",
    bytes(range(256)),
    datetime.date(2018, 7, 1),
    datetime.datetime(2018, 7, 1, 23, 59, 59, 999999),
)
cursor.execute("INSERT INTO t VALUES (%s,%s,%s,%s,%s,_binary %s,%s,%s)", row)
cursor.execute("INSERT INTO t (id) VALUES (1)")
root.commit()
cursor.execute("SELECT * FROM t ORDER BY id")
assert cursor.fetchall() == (row, (1,) + (None,) * 7)

other = connect(database="py", autocommit=True)
with other.cursor() as second:
    cursor.execute("UPDATE t SET f = 2 WHERE id = 1")
    second.execute("SELECT f FROM t WHERE id = 1")
    assert second.fetchone() == (None,), "an uncommitted change was visible"
    root.commit()
    second.execute("SELECT f FROM t WHERE id = 1")
    assert second.fetchone() == (2.0,)
    cursor.execute("DELETE FROM t")
    root.rollback()
    second.execute("SELECT COUNT(*) FROM t")
    assert second.fetchone() == (2,)

fails(1062, lambda: cursor.execute("INSERT INTO t (id) VALUES (1)"))
fails(1064, lambda: cursor.execute("SELECT FROM WHERE"))
# Without MULTI_STATEMENTS a second statement is a mistake, a semicolon in the body of a program is none.
fails(1064, lambda: cursor.execute("SELECT 1; SELECT 2"))
cursor.execute("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END;")
cursor.execute("CALL p()")
assert cursor.fetchall() == ((1,),) and cursor.nextset() and cursor.fetchall() == ((2,),)
# Behind the results stands the answer to CALL itself.
assert cursor.nextset() and not cursor.nextset()
cursor.execute("DROP PROCEDURE p")
fails(1064, lambda: cursor.execute("CREATE PROCEDURE p() BEGIN SELECT 1; END; SELECT 2"))
fails(1045, lambda: connect(user="app", password="wrong"))
fails(1045, lambda: connect(user="nobody", password="x"))
for user in ("app", "legacy"):
    assert connect(user=user, password=PASSWORD).query("SELECT 1") == 1  # plain TCP: RSA for app
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
secure = connect(user="app", password=PASSWORD, ssl=context)
with secure.cursor() as cursor:
    cursor.execute("SELECT id, name, amount FROM smoke.big")
    rows = cursor.fetchall()
assert len(rows) == 100_000
assert sum(row[0] for row in rows) == 100_000 * 100_001 // 2
assert all(name == f"row number {number}" for number, name, _ in rows)
print("ok")
