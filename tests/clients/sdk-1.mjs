// The TypeScript SDK of the legacy era.

import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { exercise, headers, test, url } from './lib/flow.mjs';

const label = 'sdk 1.32';
const client = new Client({ name: 'sdk-1', version: '0' });
const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers: headers() } });

const connected = await test(`${label}: initializes`, async () => {
  await client.connect(transport);
  assert.equal(transport.protocolVersion, '2025-11-25');
  assert.ok(transport.sessionId, 'what the client declared comes back with its requests');
  assert.ok(client.getServerCapabilities().tools);
  assert.ok(client.getServerVersion().name);
  await client.ping();
  return true;
});

if (connected) {
  // After this the client itself holds every result against the output schema of its tool.
  await exercise(label, {
    list: async () => (await client.listTools()).tools,
    call: (name, args) => client.callTool({ name, arguments: args }),
  });
  await client.close();
}
