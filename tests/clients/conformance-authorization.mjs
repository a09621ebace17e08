// The conformance suite's scenarios for authorization servers: metadata, and a code grant whose browser step is driven.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { approve, authorizationAddress } from './lib/browser.mjs';
import { test, url } from './lib/flow.mjs';

const program = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/conformance/dist/index.js', import.meta.url),
);

async function freePort() {
  const server = createServer();
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise(resolve => server.close(resolve));
  return port;
}

async function register(port) {
  const answer = await fetch(new URL('/register', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'CF-Connecting-IP': '203.0.113.78' },
    body: JSON.stringify({ client_name: 'Conformance', redirect_uris: [`http://127.0.0.1:${port}/callback`] }),
  });
  assert.equal(answer.status, 201, await answer.clone().text());
  return (await answer.json()).client_id;
}

async function checks(folder) {
  const found = [];
  for (const entry of await readdir(folder, { recursive: true })) {
    if (entry.endsWith('checks.json')) found.push(...JSON.parse(await readFile(join(folder, entry), 'utf8')));
  }
  return found;
}

// The second scenario goes by what the first one found, so both are one run.
await test('conformance 0.2.0-alpha.12: authorization-server-metadata-endpoint and authorization-code-grant', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'conformance-'));
  const port = await freePort();
  const child = spawn(process.execPath, [
    program, 'authorization', '--url', url.origin, '--resource', url.href,
    '--client-id', await register(port), '-p', String(port), '-o', folder,
  ], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => { printed += chunk; });
  const ended = new Promise(resolve => child.on('close', resolve));
  await approve(await authorizationAddress(child, url.origin), { from: '203.0.113.79' });
  const status = await ended;
  const results = await checks(folder);
  const failed = results.filter(({ status }) => status !== 'SUCCESS' && status !== 'INFO');
  assert.deepEqual(failed.map(({ id, status, errorMessage }) => `${id} ${status}: ${errorMessage}`), [], printed);
  const passed = new Set(results.filter(({ status }) => status === 'SUCCESS').map(({ id }) => id));
  for (const id of ['authorization-server-metadata', 'authorization-code-grant']) {
    assert.ok([...passed].some(name => name.startsWith(id)), `${id} was not checked: ${[...passed]}`);
  }
  assert.equal(status, 0, printed);
  await rm(folder, { recursive: true, force: true });
});
