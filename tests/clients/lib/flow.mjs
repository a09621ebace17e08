// What every MCP client is asked to do, and how a script reports it.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { allow, linkOf } from './person.mjs';

export const url = new URL(process.env.MCP_URL);

// A sandbox's keys open nothing but sandboxes.
const keys = {
  'X-TiDB-API-Public-Key': 'SBXOWNER',
  'X-TiDB-API-Private-Key': '5b000000-0000-4000-8000-0000000000aa',
};

let nextAddress = 1;

// Each connection comes from an address of its own (RFC 5737, TEST-NET-3), so that no script uses up the limit of another.
export function headers(block = process.pid) {
  return { ...keys, 'CF-Connecting-IP': `203.0.${block % 256}.${nextAddress++ % 256}` };
}

// Runs one test and prints `ok NAME` or `not ok NAME: WHY`.
export async function test(name, body) {
  try {
    const value = await body();
    console.log(`ok ${name}`);
    return value;
  } catch (error) {
    process.exitCode = 1;
    console.log(`not ok ${name}: ${String(error?.message ?? error).replaceAll('\n', ' | ')}`);
    return undefined;
  }
}

// The tools as they are committed: the suite `catalogue` holds these files to what the server lists.
const snapshots = await readdir(new URL('../../snapshots/tools/', import.meta.url));
export const toolNames = snapshots.map(file => file.replace(/\.json$/, '')).sort();

// Those of them that are listed where an address names no toolset.
const rows = (await readFile(new URL('../../cases/catalogue.tsv', import.meta.url), 'utf8')).split('\n').map(line => line.split('\t'));
const listedByDefault = new Set(rows.filter(([, byDefault]) => byDefault === 'yes').map(([, , , name]) => name));
export const listedNames = toolNames.filter(name => listedByDefault.has(name));

// Moves the sandbox's clock.
export async function advance(seconds) {
  const answer = await fetch(`${process.env.SANDBOX_URL}/_sandbox/clock`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ advanceSeconds: seconds }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

// The structured result of a call that must succeed.
export function content(result) {
  assert.notEqual(result.isError, true, JSON.stringify(result));
  assert.equal(typeof result.structuredContent, 'object', JSON.stringify(result));
  return result.structuredContent;
}

// A call that the model should repeat is repeated: SQL users take a moment to work.
async function patiently(call) {
  for (let tries = 1; ; tries += 1) {
    const result = await call();
    if (!result.isError || tries === 10 || !/"retryable":\s*true/.test(JSON.stringify(result.structuredContent ?? result))) {
      return result;
    }
    await advance(30);
    await pause(200);
  }
}

// Lists, creates, waits, branches, queries, fails and cleans up, by way of `list()` and `call(name, arguments)`.
export async function exercise(label, { list, call }) {
  const cluster = `${label.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, 40)}-cluster`;
  const branch = 'trial';

  await test(`${label}: lists every tool, each with both schemas`, async () => {
    const tools = await list();
    const names = tools.map(tool => tool.name);
    const missing = listedNames.filter(name => !names.includes(name));
    const unknown = names.filter(name => !toolNames.includes(name));
    const built = 'the Worker was built from other code than tests/snapshots/tools: run `cargo xtask test catalogue build`';
    assert.deepEqual({ missing, unknown }, { missing: [], unknown: [] }, `${built}; missing: ${missing}, unknown: ${unknown}`);
    assert.equal(new Set(names).size, names.length, `a tool is listed twice: ${names}`);
    for (const tool of tools) {
      assert.equal(tool.inputSchema.type, 'object', `${tool.name}: what a tool takes is an object`);
      assert.equal(tool.outputSchema?.type, 'object', `${tool.name}: a client learns what a tool answers with, an object`);
      assert.ok(tool.description.length > 20, `${tool.name}: a description of ${tool.description.length} characters says nothing`);
    }
  });

  await test(`${label}: lists clusters, the sample among them`, async () => {
    const { clusters } = content(await call('tidbcloud_list_clusters', {}));
    assert.ok(clusters.some(cluster => cluster.displayName === 'shop'), JSON.stringify(clusters));
  });

  await test(`${label}: queries the sample`, async () => {
    const sql = "SELECT id, name, country FROM customers WHERE id IN (7, 8) ORDER BY id";
    const result = content(await patiently(() => call('db_query', { cluster: 'shop', database: 'shop', sql })));
    assert.deepEqual(result.columns.map(column => column.name), ['id', 'name', 'country']);
    assert.deepEqual(
      result.rows.map(row => row.map(String)),
      [
        ['7', 'Customer 7', 'JP'],
        ['8', 'Customer 8', 'US'],
      ],
    );
    assert.equal(result.returned, 2);
    assert.equal(result.truncated, false);
  });

  const created = await test(`${label}: creates a cluster`, async () => {
    const { regions } = content(await call('tidbcloud_list_regions', {}));
    const [region] = regions;
    return content(await call('tidbcloud_create_cluster', { displayName: cluster, region: region.name }));
  });
  if (created === undefined) return;

  await test(`${label}: waits until the cluster is ACTIVE`, async () => {
    await advance(30);
    const { state } = content(await call('tidbcloud_get_cluster', { cluster }));
    assert.equal(state, 'ACTIVE');
  });

  await test(`${label}: writes on the cluster and reads it on a branch`, async () => {
    const sql = [
      'CREATE DATABASE pets',
      'CREATE TABLE pets.cats (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL)',
      "INSERT INTO pets.cats VALUES (1, 'Mia'), (2, 'Leo')",
    ];
    content(await patiently(() => call('db_execute', { cluster, sql })));
    content(await call('tidbcloud_create_branch', { cluster, displayName: branch }));
    await advance(30);
    const { state } = content(await call('tidbcloud_get_branch', { cluster, branch }));
    assert.equal(state, 'ACTIVE');
    const query = { cluster, branch, sql: 'SELECT name FROM pets.cats ORDER BY id' };
    const { rows } = content(await patiently(() => call('db_query', query)));
    assert.deepEqual(rows, [['Mia'], ['Leo']]);
  });

  await test(`${label}: is told why a write is no query`, async () => {
    const result = await call('db_query', { cluster: 'shop', sql: 'DELETE FROM shop.orders' });
    assert.equal(result.isError, true, JSON.stringify(result));
    assert.match(JSON.stringify(result), /READ_ONLY_VIOLATION|SQL_REJECTED/);
  });

  await test(`${label}: deletes the branch and the cluster, each once a person allowed it`, async () => {
    for (const [tool, args, name] of [
      ['tidbcloud_delete_branch', { cluster, branch }, branch],
      ['tidbcloud_delete_cluster', { cluster }, cluster],
    ]) {
      await allow(linkOf(await call(tool, args)), name);
      content(await call(tool, args));
    }
  });
}
