// The inspector's command line, as a person types it: from the bare address to the first answer, in each era.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { approve, counted, launch, origin } from './lib/browser.mjs';
import { test, url } from './lib/flow.mjs';
import { freePort, Opener } from './lib/opener.mjs';

const program = fileURLToPath(new URL('../../node_modules/.bin/mcp-inspector', import.meta.url));
const browser = await launch();

// One run; `people` are asked in turn, each for what the inspector opens next.
async function inspect(opener, args, people = []) {
  const child = spawn(program, ['--cli', url.href, '--transport', 'http', '--format', 'json', ...args], {
    env: { ...opener.environment, MCP_INSPECTOR_SECRET_STORE: 'file', MCP_AUTO_OPEN_ENABLED: 'true' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 90_000,
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].on('data', data => { output[name] += data; });
  const ended = once(child, 'close');
  try {
    const met = [];
    for (const person of people) met.push(await person(new URL(await opener.next())));
    await ended;
    const answer = JSON.parse(output.stdout);
    return { met, answer: answer.result ?? answer };
  } catch (error) {
    child.kill();
    throw new Error(`${error.message}; the inspector said: ${output.stdout} ${output.stderr}`);
  }
}

const call = (name, args) => ['--method', 'tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(args)];
const clusters = call('tidbcloud_list_clusters', {});

function assertClusters({ structuredContent }) {
  assert.ok(structuredContent?.clusters.some(cluster => cluster.displayName === 'shop'), JSON.stringify(structuredContent));
}

for (const era of ['legacy', 'auto', 'modern']) {
  const label = `inspector 2.12 ${era}`;
  const opener = await Opener.make();
  const flags = ['--protocol-era', era, '--callback-url', `http://127.0.0.1:${await freePort()}/oauth/callback`];
  let done;
  await test(`${label}: connects from the bare address`, async () => {
    const { met, answer } = await inspect(opener, [...flags, ...clusters], [
      request => {
        assert.equal(request.origin + request.pathname, `${origin}/authorize`);
        assert.equal(request.searchParams.get('resource'), url.href);
        return approve(browser, request.href);
      },
    ]);
    assertClusters(answer);
    [done] = met;
    assert.equal(done.status, 200);
  });
  if (done) {
    await test(`${label}: a first answer ${counted(done)}`, () => {
      assert.deepEqual([done.clicks, done.typed], [2, 2]);
    });
    await test(`${label}: calls again without asking anybody`, async () => {
      assertClusters((await inspect(opener, [...flags, ...clusters])).answer);
    });
  }
  await opener.close();
}

// The inspector takes a client's document where it is given one; the sandbox serves this one.
await test('inspector 2.12 with a client metadata document: connects', async () => {
  const opener = await Opener.make();
  const document = 'https://clients.example/valid.json';
  const flags = ['--client-metadata-url', document, '--callback-url', `http://127.0.0.1:${await freePort()}/callback`];
  const { met, answer } = await inspect(opener, [...flags, ...clusters], [
    request => {
      assert.equal(request.searchParams.get('client_id'), document);
      return approve(browser, request.href);
    },
  ]);
  assertClusters(answer);
  assert.match(met[0].text, /Known from\s+clients\.example/);
  await opener.close();
});

await browser.close();
