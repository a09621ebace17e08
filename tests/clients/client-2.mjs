// The TypeScript client of both eras, in each way it can choose one.

import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { exercise, headers, test, url } from './lib/flow.mjs';

const MODERN = '2026-07-28';

for (const [name, mode, version] of [
  ['legacy', 'legacy', '2025-11-25'],
  ['auto', 'auto', MODERN],
  ['pinned', { pin: MODERN }, MODERN],
]) {
  const label = `client 2.4 ${name}`;
  const client = new Client({ name: 'client-2', version: '0' }, { versionNegotiation: { mode } });
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers: headers() } });
  const connected = await test(`${label}: connects with ${version}`, async () => {
    await client.connect(transport);
    assert.equal(client.getNegotiatedProtocolVersion(), version);
    assert.ok(client.getServerCapabilities().tools);
    return true;
  });
  if (!connected) continue;
  await exercise(label, {
    list: async () => (await client.listTools()).tools,
    call: (tool, args) => client.callTool({ name: tool, arguments: args }),
  });
  await client.close();
}
