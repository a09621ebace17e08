// The inspector's command line with OAuth: from the bare address to the first tool result, by registration and by a document.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { approve, authorizationAddress } from './lib/browser.mjs';
import { test, url } from './lib/flow.mjs';

const program = fileURLToPath(new URL('../../node_modules/.bin/mcp-inspector', import.meta.url));

async function call(label, more) {
  const home = await mkdtemp(join(tmpdir(), 'inspector-'));
  const child = spawn(
    program,
    ['--cli', url.href, '--transport', 'http', '--method', 'tools/call', '--tool-name', 'tidbcloud_list_clusters',
      '--tool-args-json', '{}', '--format', 'json', ...more],
    { env: { ...process.env, HOME: home, MCP_INSPECTOR_SECRET_STORE: 'memory', MCP_AUTO_OPEN_ENABLED: 'true' }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let printed = '';
  child.stdout.on('data', chunk => { printed += chunk; });
  const ended = new Promise(resolve => child.on('close', resolve));
  const { clicks, fields } = await approve(await authorizationAddress(child, url.origin));
  assert.equal(await ended, 0, printed);
  assert.match(printed, /shop/);
  console.log(`-- ${label}: ${clicks} click, ${fields} typed fields`);
  assert.deepEqual({ clicks, fields }, { clicks: 1, fields: 2 });
  await rm(home, { recursive: true, force: true });
}

await test('inspector 2.12 by registration: from the bare address to the first tool result', () =>
  call('inspector, registered', []));
