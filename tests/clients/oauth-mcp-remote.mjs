// mcp-remote, which gives clients that only start programs a remote server: from the bare address to the first answer.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { approve, counted, launch, origin } from './lib/browser.mjs';
import { content, test, url } from './lib/flow.mjs';
import { Opener } from './lib/opener.mjs';

const program = fileURLToPath(new URL('../../node_modules/.bin/mcp-remote', import.meta.url));
const browser = await launch();

// Starts mcp-remote as a desktop client does, and asks for the clusters.
async function clusters(opener, protocol, meanwhile) {
  const client = new Client({ name: 'desktop', version: '0' });
  const transport = new StdioClientTransport({
    command: program,
    args: [url.href, '--protocol', protocol],
    env: opener.environment,
    stderr: 'pipe',
  });
  let said = '';
  transport.stderr.on('data', data => { said += data; });
  try {
    const [, met] = await Promise.all([client.connect(transport), meanwhile()]);
    const answer = content(await client.callTool({ name: 'tidbcloud_list_clusters', arguments: {} }));
    assert.ok(answer.clusters.some(cluster => cluster.displayName === 'shop'), JSON.stringify(answer));
    return met;
  } catch (error) {
    throw new Error(`${error.message}; mcp-remote said: ${said}`);
  } finally {
    await client.close();
  }
}

for (const protocol of ['legacy', 'auto']) {
  const label = `mcp-remote 0.15 ${protocol}`;
  const opener = await Opener.make();
  let done;
  await test(`${label}: connects from the bare address`, async () => {
    done = await clusters(opener, protocol, async () => {
      const request = new URL(await opener.next());
      assert.equal(request.origin + request.pathname, `${origin}/authorize`);
      assert.equal(request.searchParams.get('code_challenge_method'), 'S256');
      assert.equal(request.searchParams.get('resource'), url.href);
      return approve(browser, request.href);
    });
    assert.equal(done.status, 200);
    assert.match(done.text, /The answer goes to a program on this computer/);
  });
  if (!done) {
    await opener.close();
    continue;
  }
  await test(`${label}: a first answer ${counted(done)}`, () => {
    assert.deepEqual([done.clicks, done.typed], [2, 2]);
  });
  await test(`${label}: connects again without asking anybody`, async () => {
    await clusters(opener, protocol, async () => {});
    assert.equal((await opener.all()).length, 1);
  });
  await opener.close();
}

await browser.close();
