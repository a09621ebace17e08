// A desktop client that only starts programs is asked through mcp-remote, whichever era that speaks with the server.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { isThere, withClusters } from './lib/clusters.mjs';
import { content, headers, test, url } from './lib/flow.mjs';
import { Opener } from './lib/opener.mjs';
import { allow, linkOf } from './lib/person.mjs';

const program = fileURLToPath(new URL('../../node_modules/.bin/mcp-remote', import.meta.url));

// Starts mcp-remote as a desktop client does, with keys in headers; `answer()` is the person at the client's form, if it has one.
async function connected(protocol, body, answer) {
  const client = new Client({ name: 'desktop', version: '0' }, { capabilities: answer ? { elicitation: {} } : {} });
  if (answer) client.setRequestHandler(ElicitRequestSchema, async () => answer());
  const opener = await Opener.make();
  const fields = Object.entries(headers()).flatMap(([name, value]) => ['--header', `${name}:${value}`]);
  const args = [url.href, '--protocol', protocol, ...fields];
  try {
    await client.connect(new StdioClientTransport({ command: program, args, env: opener.environment, stderr: 'ignore' }));
    await body(cluster => client.callTool({ name: 'tidbcloud_delete_cluster', arguments: { cluster } }));
  } finally {
    await client.close();
    await opener.close();
  }
}

for (const protocol of ['legacy', 'auto']) {
  const label = `mcp-remote 0.15 ${protocol}`;

  await test(`${label}: passes the form on, and the answer back`, async () => {
    await withClusters(label, 1, async cluster => {
      let asked = 0;
      const answer = () => {
        asked += 1;
        return { action: 'accept', content: { name: cluster } };
      };
      await connected(protocol, async deletes => {
        assert.equal(content(await deletes(cluster)).status, 'DELETING');
        assert.equal(asked, 1, 'a person is asked once');
        assert.equal(await isThere(cluster), false, 'what was allowed is done');
      }, answer);
    });
  });

  await test(`${label}: gives a client without forms the link`, async () => {
    await withClusters(label, 1, async cluster => {
      await connected(protocol, async deletes => {
        await allow(linkOf(await deletes(cluster)), cluster);
        assert.equal(content(await deletes(cluster)).status, 'DELETING');
      });
    });
  });
}
