// mcp-remote, which gives clients that only start programs a remote server: from the bare address to the first answer.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { approve, counted, launch, origin, owner } from './lib/browser.mjs';
import { content, test, url } from './lib/flow.mjs';
import { Opener } from './lib/opener.mjs';

const program = fileURLToPath(new URL('../../node_modules/.bin/mcp-remote', import.meta.url));
const browser = await launch();

// Starts mcp-remote as a desktop client does, and calls a tool. Gives its answer and what `meanwhile` gave, which has the time
// from the start to the answer.
async function call(opener, protocol, tool, args, meanwhile = async () => {}) {
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
    const answered = client.connect(transport).then(() => client.callTool({ name: tool, arguments: args }));
    const [answer, met] = await Promise.all([answered, meanwhile()]);
    return { answer: content(answer), met };
  } catch (error) {
    throw new Error(`${error.message}; mcp-remote said: ${said}`);
  } finally {
    await client.close();
  }
}

async function clusters(opener, protocol, meanwhile) {
  const { answer, met } = await call(opener, protocol, 'tidbcloud_list_clusters', {}, meanwhile);
  assert.ok(answer.clusters.some(cluster => cluster.displayName === 'shop'), JSON.stringify(answer));
  return met;
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
    assert.match(done.text, /That is a program on this computer/);
  });
  if (!done) {
    await opener.close();
    continue;
  }
  await test(`${label}: a first answer ${counted(done)}`, () => {
    assert.deepEqual([done.clicks, done.typed], [2, 2]);
  });
  await test(`${label}: connects again without asking anybody`, async () => {
    await clusters(opener, protocol);
    assert.equal((await opener.all()).length, 1);
  });
  await opener.close();
}

// A tool that needs more than was granted sends the person to the page once more, and not a third time.
for (const protocol of ['legacy', 'auto']) {
  const opener = await Opener.make();
  await test(`mcp-remote 0.15 ${protocol}: asks for more when a tool needs more, once`, async () => {
    await clusters(opener, protocol, async () => approve(browser, await opener.next(), { ...owner, scopes: ['tidb:read'] }));
    const unchanged = { cluster: 'shop', displayName: 'shop' };
    const { answer, met } = await call(opener, protocol, 'tidbcloud_update_cluster', unchanged, async () => {
      const request = await opener.next();
      assert.match(new URL(request).searchParams.get('scope'), /(^| )tidb:write( |$)/);
      return approve(browser, request);
    });
    assert.equal(answer.displayName, 'shop');
    // What is asked for is ticked already.
    assert.equal(met.clicks, 2);
    await call(opener, protocol, 'tidbcloud_update_cluster', unchanged);
    assert.equal((await opener.all()).length, 2);
  });
  await opener.close();
}

await browser.close();
