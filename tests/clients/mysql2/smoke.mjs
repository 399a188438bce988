// mysql2: binary protocol, prepared statements, change user, connection reset, TLS, 100,000 rows.
import assert from 'node:assert/strict';
import mysql from 'mysql2/promise';

const { PRECINCT_HOST: host, PRECINCT_PORT: port, PRECINCT_PASSWORD: password } = process.env;
const base = { host, port: Number(port), supportBigNumbers: true, bigNumberStrings: true, dateStrings: true };
const fails = (code, work) => assert.rejects(work, (error) => (assert.equal(error.errno, code, error.message), true));

const root = await mysql.createConnection({ ...base, user: 'root', multipleStatements: true });
await root.query('DROP DATABASE IF EXISTS js; CREATE DATABASE js; USE js');
await root.query(`CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(20,5), f DOUBLE, s VARCHAR(50), b BLOB,
  day DATE, at DATETIME(6), KEY s (s))`);
const insert = 'INSERT INTO t (u, d, f, s, b, day, at) VALUES (?,?,?,?,?,?,?)';
const blob = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const [done] = await root.execute(insert, ['18446744073709551615', '-12345.67891', 0.1, '伟', blob, '2018-07-01', '2018-07-01 23:59:59.999999']);
assert.equal(done.insertId, 1);
const [nothing] = await root.execute(insert, [null, null, null, null, null, null, null]);
assert.equal(nothing.affectedRows, 1);
const [rows] = await root.execute('SELECT * FROM t WHERE s = ? OR id = ? ORDER BY id', ['伟', 2]);
assert.equal(rows.length, 2);
assert.deepEqual({ ...rows[0], b: 0 }, { id: 1, u: '18446744073709551615', d: '-12345.67891', f: 0.1, s: '伟', b: 0, day: '2018-07-01', at: '2018-07-01 23:59:59.999999' });
assert.deepEqual(rows[0].b, blob);
assert.equal(rows[1].d, null);
for (let id = 1; id <= 50; id += 1) {
  const [one] = await root.execute('SELECT id FROM t WHERE id = ?', [id]);
  assert.equal(one.length, id <= 2 ? 1 : 0);
}
const [results] = await root.query('SELECT 1 AS a; SELECT 2 AS b');
assert.deepEqual(results, [[{ a: '1' }], [{ b: '2' }]]);
await fails(1054, () => root.execute('SELECT nope FROM t'));
await fails(1146, () => root.query('SELECT * FROM nope'));
await root.beginTransaction();
await root.execute('UPDATE t SET f = ? WHERE id = ?', [7, 1]);
await root.rollback();
assert.equal((await root.execute('SELECT f FROM t WHERE id = 1'))[0][0].f, 0.1);
await root.changeUser({ user: 'app', password, database: 'smoke' });
assert.match((await root.query('SELECT CURRENT_USER() AS me'))[0][0].me, /^app@/);
await root.end();

await fails(1045, () => mysql.createConnection({ ...base, user: 'app', password: 'wrong' }));
for (const user of ['app', 'legacy']) {
  const plain = await mysql.createConnection({ ...base, user, password });
  await plain.ping();
  await plain.end();
}
const secure = await mysql.createConnection({ ...base, user: 'app', password, ssl: { rejectUnauthorized: false } });
for (const method of ['query', 'execute']) {
  const [big] = await secure[method]('SELECT id, name, amount FROM smoke.big');
  assert.equal(big.length, 100000);
  assert.equal(big.reduce((sum, row) => sum + row.id, 0), 5000050000);
  assert.ok(big.every((row) => row.name === `row number ${row.id}`));
}
await secure.end();
console.log('ok');
