// The official driver @tidbcloud/serverless against a running sandbox: its usual calls.
//
// env SANDBOX_URL       http://127.0.0.1:8788 by default
//     SANDBOX_SQL_HOST  endpoint of the cluster that holds the sample data, as the API gives it; found through the API when unset
//     SANDBOX_SQL_USER, SANDBOX_SQL_PASSWORD  a SQL user with role_admin, prefix included; made through the API when unset
//
// Prints `ok <name>` or `not ok <name> <why>` for each check; exits 1 where one failed.
import assert from 'node:assert/strict'
import { connect, DatabaseError } from '@tidbcloud/serverless'
import { api, here } from './lib/control-plane.mjs'

async function access() {
  const { SANDBOX_SQL_HOST: host, SANDBOX_SQL_USER: username, SANDBOX_SQL_PASSWORD: password } = process.env
  if (host && username) return { host, username, password: password ?? '' }
  const { clusters } = await api('GET', 'https://serverless.tidbapi.com/v1beta1/clusters')
  const shop = clusters.find((cluster) => cluster.displayName === 'shop')
  const user = { userName: `${shop.userPrefix}.driver${Date.now() % 1e6}`, password: 'Canary-driver-1!', builtinRole: 'role_admin' }
  const users = `https://iam.tidbapi.com/v1beta1/clusters/${shop.clusterId}/sqlUsers`
  await api('POST', users, { ...user, authMethod: 'mysql_native_password', autoPrefix: false })
  const made = { host: shop.endpoints.public.host, username: user.userName, password: user.password }
  // A new user takes a moment to work.
  for (let tries = 0; ; tries += 1) {
    try {
      await connect({ ...made, fetch: redirected }).execute('SELECT 1')
      return made
    } catch (error) {
      if (tries === 60) throw error
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
}

const redirected = (url, options) => fetch(here(url), options)

let failed = 0
async function check(name, run) {
  try {
    await run()
    console.log(`ok ${name}`)
  } catch (error) {
    failed += 1
    console.log(`not ok ${name} ${String(error?.message ?? error).replaceAll('\n', ' ')}`)
  }
}

const login = await access()
const open = (config) => connect({ ...login, fetch: redirected, ...config })
const db = open({})
const database = `driver_${process.pid}`
await db.execute(`DROP DATABASE IF EXISTS ${database}`)
await db.execute(`CREATE DATABASE ${database}`)
await db.execute(`CREATE TABLE ${database}.t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))`)

await check('query', async () => {
  const rows = await db.execute('SELECT id, name FROM shop.customers WHERE id = ?', [7])
  assert.deepEqual(rows, [{ id: '7', name: 'Customer 7' }])
  assert.deepEqual(await db.execute('SELECT :a AS a, :b AS b', { a: "it's", b: null }), [{ a: "it's", b: null }])
  assert.deepEqual(await db.execute('SELECT id FROM shop.customers WHERE id = 0'), [])
})

await check('database', async () => {
  assert.deepEqual(await open({ database: 'shop' }).execute('SELECT COUNT(*) AS n FROM products'), [{ n: '200' }])
  // Outside a session nothing is kept.
  await db.execute('USE shop')
  assert.deepEqual(await db.execute('SELECT DATABASE() AS d'), [{ d: null }])
})

await check('arrayMode', async () => {
  assert.deepEqual(await db.execute('SELECT 1 AS a, 2 AS a', null, { arrayMode: true }), [['1', '2']])
})

await check('fullResult', async () => {
  const insert = await db.execute(`INSERT INTO ${database}.t (v) VALUES ('a'), ('b')`, null, { fullResult: true })
  assert.equal(insert.rowsAffected, 2)
  assert.equal(insert.lastInsertId, '1')
  assert.deepEqual(insert.rows, [])
  const select = await db.execute(`SELECT id, v FROM ${database}.t ORDER BY id`, null, { fullResult: true })
  assert.deepEqual(select.types, { id: 'INT', v: 'VARCHAR' })
  assert.deepEqual(select.rows, [{ id: 1, v: 'a' }, { id: 2, v: 'b' }])
  assert.equal(select.rowCount, 2)
  assert.equal(select.rowsAffected, null)
  assert.equal(select.lastInsertId, null)
})

await check('types', async () => {
  await db.execute(
    `CREATE TABLE ${database}.k (i TINYINT, u BIGINT UNSIGNED, d DECIMAL(38,19), f DOUBLE, y YEAR, t DATETIME, c CHAR(3), x TEXT, ` +
      `b VARBINARY(9), l BLOB, e ENUM('p','q'), s SET('p','q'), n BIT(64), j JSON, z INT)`,
  )
  await db.execute(
    `INSERT INTO ${database}.k VALUES (-1, 18446744073709551615, 123456789012.123456789012, 1.5, 2026, '1973-12-30 15:30:00', 'abc', ` +
      `?, ?, x'00ff', 'q', 'p,q', b'01010101', '{"b": [1, null], "a": "é"}', NULL)`,
    ['naïve 用户 😀', new Uint8Array([0, 222, 173])],
  )
  assert.deepEqual((await db.execute(`SELECT * FROM ${database}.k`))[0], {
    i: -1,
    u: '18446744073709551615',
    d: '123456789012.1234567890120000000',
    f: 1.5,
    y: 2026,
    t: '1973-12-30 15:30:00',
    c: 'abc',
    x: 'naïve 用户 😀',
    b: new Uint8Array([0, 222, 173]),
    l: new Uint8Array([0, 255]),
    e: 'q',
    s: 'p,q',
    n: new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0x55]),
    j: { a: 'é', b: [1, null] },
    z: null,
  })
})

await check('decoders', async () => {
  const rows = await db.execute('SELECT 7 AS n', null, { decoders: { BIGINT: (text) => BigInt(text) } })
  assert.deepEqual(rows, [{ n: 7n }])
})

await check('transaction', async () => {
  const count = async (connection, v) =>
    (await connection.execute(`SELECT COUNT(*) AS n FROM ${database}.t WHERE v = ?`, [v]))[0].n
  const tx = await db.begin({ isolation: 'READ COMMITTED' })
  await tx.execute(`INSERT INTO ${database}.t (v) VALUES ('inside')`)
  assert.equal(await count(tx, 'inside'), '1')
  assert.equal(await count(db, 'inside'), '0')
  await db.execute(`INSERT INTO ${database}.t (v) VALUES ('outside')`)
  assert.equal(await count(tx, 'outside'), '1')
  await tx.commit()
  assert.equal(await count(db, 'inside'), '1')
  const repeatable = await db.begin({ isolation: 'REPEATABLE READ' })
  assert.equal(await count(repeatable, 'later'), '0')
  await db.execute(`INSERT INTO ${database}.t (v) VALUES ('later')`)
  assert.equal(await count(repeatable, 'later'), '0')
  await repeatable.execute(`DELETE FROM ${database}.t`)
  await repeatable.rollback()
  assert.equal(await count(db, 'later'), '1')
})

await check('persist', async () => {
  const stateful = await db.persist()
  await stateful.execute('USE shop')
  assert.deepEqual(await stateful.execute('SELECT DATABASE() AS d'), [{ d: 'shop' }])
  await stateful.close()
  await assert.rejects(stateful.execute('SELECT 1'), DatabaseError)
})

await check('error', async () => {
  const fails = async (connection, sql, text) => {
    const error = await connection.execute(sql).then(() => assert.fail(`${sql} passed`), (caught) => caught)
    assert.ok(error instanceof DatabaseError, String(error))
    assert.ok(error.status >= 400, String(error.status))
    assert.match(error.message, text)
    assert.equal(typeof error.details, 'object')
  }
  await fails(db, 'SELEC 1', /1064/)
  await fails(db, 'SELECT * FROM shop.nowhere', /1146 \(42S02\): Table 'shop.nowhere' doesn't exist/)
  await fails(db, 'SELECT 1; SELECT 2', /8130/)
  await fails(db, 'SELECT id FROM shop.orders', /10000/)
  await fails(open({ password: 'canary-wrong' }), 'SELECT 1', /./)
})

await db.execute(`DROP DATABASE ${database}`)
process.exit(failed === 0 ? 0 : 1)
