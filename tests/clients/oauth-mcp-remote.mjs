// mcp-remote, as Claude Desktop and others start it: from the bare address to the first tool result.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { approve, authorizationAddress } from './lib/browser.mjs';
import { test, url } from './lib/flow.mjs';

const program = fileURLToPath(new URL('../../node_modules/mcp-remote/dist/proxy.js', import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'mcp-remote-'));

async function connect() {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [program, url.href, '--allow-http'],
    env: { ...process.env, MCP_REMOTE_CONFIG_DIR: folder },
    stderr: 'pipe',
  });
  const client = new Client({ name: 'desktop', version: '1' });
  return { client, transport };
}

await test('mcp-remote 0.15: from the bare address to the first tool result', async () => {
  const { client, transport } = await connect();
  const address = authorizationAddress({ stderr: transport.stderr }, url.origin);
  const connected = client.connect(transport, { timeout: 60_000 });
  connected.catch(() => {});
  const { clicks, fields } = await approve(await address);
  await connected;
  const { structuredContent } = await client.callTool({ name: 'tidbcloud_list_clusters', arguments: {} });
  assert.ok(structuredContent.clusters.some(({ displayName }) => displayName === 'shop'));
  console.log(`-- mcp-remote: ${clicks} click, ${fields} typed fields`);
  assert.deepEqual({ clicks, fields }, { clicks: 1, fields: 2 });
  await client.close();
});

await test('mcp-remote 0.15: connects again without asking anybody', async () => {
  const { client, transport } = await connect();
  await client.connect(transport, { timeout: 60_000 });
  const { tools } = await client.listTools();
  assert.ok(tools.length > 10);
  await client.close();
});

await rm(folder, { recursive: true, force: true });
