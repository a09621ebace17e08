// The two authorization scenarios of the MCP conformance suite, which print an address for a person to open.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { approve, launch, origin } from './lib/browser.mjs';
import { test, url } from './lib/flow.mjs';
import { freePort } from './lib/opener.mjs';

const program = fileURLToPath(new URL('../../node_modules/.bin/conformance', import.meta.url));
const results = await mkdtemp(join(tmpdir(), 'conformance-'));
const browser = await launch();

async function register(redirect) {
  const answer = await fetch(`${origin}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ client_name: 'Conformance suite', redirect_uris: [redirect], token_endpoint_auth_method: 'none' }),
  });
  assert.equal(answer.status, 201);
  return (await answer.json()).client_id;
}

await test('conformance 0.2.0-alpha.12: ends with status 0', async () => {
  const port = await freePort();
  const client = await register(`http://127.0.0.1:${port}/callback`);
  const args = ['authorization', '--url', origin, '--resource', url.href, '--client-id', client];
  const child = spawn(program, [...args, '--port', String(port), '--output-dir', results], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 90_000,
  });
  const ended = once(child, 'close');
  let said = '';
  child.stderr.on('data', data => { said += data; });
  const address = new Promise((resolve, reject) => {
    child.stdout.on('data', data => {
      said += data;
      const line = said.split('\n').find(text => text.startsWith(`${origin}/authorize?`));
      // Only a line that is complete.
      if (line && said.includes(`${line}\n`)) resolve(line);
    });
    ended.then(() => reject(new Error(`nobody was asked: ${said}`)));
  });
  const { target, status } = await approve(browser, await address);
  assert.equal(status, 200, target);
  const [code] = await ended;
  assert.equal(code, 0, said);
});

// What was checked, and how it went: warnings and what was skipped count as failures here.
const checks = {
  'authorization-server-metadata-endpoint': ['authorization-server-metadata', 'authorization-server-metadata-cimd'],
  'authorization-code-grant': ['authorization-code-grant'],
};
const directories = await readdir(results);
for (const [scenario, names] of Object.entries(checks)) {
  await test(`conformance 0.2.0-alpha.12: ${scenario}`, async () => {
    const found = directories.filter(name => name.includes(scenario));
    assert.equal(found.length, 1, directories.join(' '));
    const listed = JSON.parse(await readFile(join(results, found[0], 'checks.json'), 'utf8'));
    const wrong = listed.filter(check => check.status !== 'SUCCESS');
    assert.deepEqual(wrong.map(check => `${check.id} ${check.status}: ${check.errorMessage}`), []);
    assert.deepEqual(listed.map(check => check.id).sort(), [...names].sort());
  });
}

await rm(results, { recursive: true });
await browser.close();
