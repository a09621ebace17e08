// What the makers of clients document of them, and what has been seen of them: how they register, where they want their answers,
// and what they do at the edges. Their documents come from the sandbox, which rebuilt them from that.

import assert from 'node:assert/strict';
import { approve, launch, origin, owner, profile } from './lib/browser.mjs';
import { test, url } from './lib/flow.mjs';
import { OauthClient } from './lib/oauth.mjs';

const CLAUDE = 'https://claude.ai/oauth/mcp-oauth-client-metadata';
const CLAUDE_CODE = 'https://claude.ai/oauth/claude-code-client-metadata';
const VS_CODE = 'https://vscode.dev/oauth/client-metadata.json';
const COPILOT = 'https://github.com/copilot/cli/client-metadata.json';

const browser = await launch();

// A port of the range that systems hand out (RFC 6335 section 6), where no program of this machine needs to listen: the
// browser is shown a page in its place.
const ephemeral = () => 49_152 + Math.floor(Math.random() * 16_384);

// From the address that a client opens to the first answer, and on to the second token. Gives what the person saw.
async function connects(client) {
  const approved = await approve(browser, client.request, owner, { alone: true });
  const tokens = await client.redeem(client.code(approved.target));
  assert.ok((await client.clusters(tokens)).includes('shop'));
  const refreshed = await client.refresh(tokens);
  assert.equal(refreshed.status, 200, JSON.stringify(refreshed));
  assert.ok((await client.clusters(refreshed)).includes('shop'));
  return approved;
}

// A client with a document is named with its host; of programs on this machine the page warns.
function assertShown({ text }, name, host, { local }) {
  assert.match(text, new RegExp(`The client says it is\\s+${name}`));
  assert.match(text, new RegExp(`Known from\\s+${host.replaceAll('.', '\\.')}`));
  assert.equal(/program on this computer/.test(text), local);
}

for (const redirect of ['https://claude.ai/api/mcp/auth_callback', 'https://claude.com/api/mcp/auth_callback']) {
  await test(`Claude, by its document, answered at ${new URL(redirect).host}`, async () => {
    const shown = await connects(new OauthClient({ id: CLAUDE, redirect }));
    assertShown(shown, 'Claude', 'claude.ai', { local: false });
    assert.doesNotMatch(shown.text, /does not know that address/);
  });
}

await test('Claude registers anew on each connect, with both callbacks', async () => {
  const redirects = ['https://claude.ai/api/mcp/auth_callback', 'https://claude.com/api/mcp/auth_callback'];
  for (const redirect of redirects) {
    const client = new OauthClient({ redirect });
    const registered = await client.register({
      client_name: 'Claude',
      redirect_uris: redirects,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'web',
      scope: 'tidb:read tidb:write',
    });
    assert.equal(registered.token_endpoint_auth_method, 'none');
    assert.deepEqual(registered.redirect_uris, redirects);
    const shown = await connects(client);
    assert.match(shown.text, /its own registration here/);
    assert.doesNotMatch(shown.text, /does not know that address/);
  }
});

await test('Claude registers again where its client is unknown at the token endpoint', async () => {
  const client = new OauthClient({ id: 'tdb_client_v1.forgotten', redirect: 'https://claude.ai/api/mcp/auth_callback' });
  const answer = await client.token({ grant_type: 'refresh_token', refresh_token: 'tdb_rt_v1.forgotten' });
  assert.deepEqual([answer.status, answer.error], [401, 'invalid_client']);
});

for (const host of ['localhost', '127.0.0.1']) {
  await test(`Claude Code, by its document without a port, answered at ${host} on an ephemeral port`, async () => {
    const client = new OauthClient({ id: CLAUDE_CODE, redirect: `http://${host}:${ephemeral()}/callback` });
    assertShown(await connects(client), 'Claude Code', 'claude.ai', { local: true });
  });
}

await test('Claude Code registers with one port and is answered at another', async () => {
  const client = new OauthClient({ redirect: `http://localhost:${ephemeral()}/callback` });
  await client.register({
    client_name: 'Claude Code (tidbcloud)',
    redirect_uris: [`http://localhost:${ephemeral()}/callback`],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  });
  assert.match((await connects(client)).text, /program on this computer/);
});

for (const [redirect, local] of [
  ['http://127.0.0.1:33418/', true],
  [`http://127.0.0.1:${ephemeral()}/`, true],
  ['https://vscode.dev/redirect', false],
  ['https://insiders.vscode.dev/redirect', false],
]) {
  const where = redirect === 'http://127.0.0.1:33418/' || !local ? redirect : 'a random port';
  await test(`VS Code, by its document, answered at ${where}`, async () => {
    // Its page at vscode.dev finds the editor by the state, which is an address with a query of its own.
    const state = 'vscode://dynamicauthprovider/127.0.0.1/authorize?nonce=4%2Fa%3D&windowId=1';
    const client = new OauthClient({ id: VS_CODE, redirect, state: local ? 'bm9uY2U+Lw==' : state });
    assertShown(await connects(client), 'Visual Studio Code', 'vscode.dev', { local });
  });
}

await test('VS Code registers with all of its addresses, with and without a slash at the end', async () => {
  const client = new OauthClient({ redirect: 'http://127.0.0.1:33418/' });
  await client.register({
    client_name: 'Visual Studio Code',
    client_uri: 'https://code.visualstudio.com',
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    response_types: ['code'],
    redirect_uris: [
      'https://insiders.vscode.dev/redirect',
      'https://vscode.dev/redirect',
      'http://127.0.0.1/',
      'http://127.0.0.1:33418/',
      'http://127.0.0.1:33418',
    ],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
  });
  await connects(client);
});

await test('GitHub Copilot CLI, by its document with port 33418, answered at an ephemeral port', async () => {
  const client = new OauthClient({ id: COPILOT, redirect: `http://127.0.0.1:${ephemeral()}/` });
  assertShown(await connects(client), 'GitHub Copilot CLI', 'github.com', { local: true });
});

const cursor = [
  'cursor://anysphere.cursor-mcp/oauth/callback',
  'https://www.cursor.com/agents/mcp/oauth/callback',
  'http://localhost:8787/callback',
];
for (const redirect of cursor) {
  await test(`Cursor registers three addresses at once and is answered at ${redirect}`, async () => {
    const client = new OauthClient({ redirect });
    const registered = await client.register({
      client_name: 'Cursor',
      redirect_uris: cursor,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    });
    assert.deepEqual(registered.redirect_uris, cursor);
    const { text } = await connects(client);
    assert.match(text, redirect.startsWith('https:') ? /www\.cursor\.com/ : new RegExp(redirect.split('/')[2]));
  });
}

await test('a client of 2025-03-26 knows no resource and asks at the root', async () => {
  const metadata = await (await fetch(`${origin}/.well-known/oauth-authorization-server`)).json();
  for (const [name, path] of [['authorization', 'authorize'], ['token', 'token'], ['registration', 'register']]) {
    assert.equal(metadata[`${name}_endpoint`], `${origin}/${path}`);
  }
  const client = new OauthClient({ redirect: 'http://localhost:3000/callback', resource: null, scope: null });
  await client.register({ client_name: 'Old client', redirect_uris: [client.redirect] });
  await connects(client);
});

await test('a client finds the same resource and issuer wherever it looks', async () => {
  const challenge = (await fetch(url, { method: 'POST', body: '{}' })).headers.get('www-authenticate');
  const told = challenge.match(/resource_metadata="([^"]+)"/)[1];
  for (const address of [told, `${origin}/.well-known/oauth-protected-resource`]) {
    const resource = await (await fetch(address)).json();
    assert.equal(resource.resource, url.href);
    assert.deepEqual(resource.authorization_servers, [origin]);
  }
  for (const kind of ['oauth-authorization-server', 'openid-configuration']) {
    assert.equal((await (await fetch(`${origin}/.well-known/${kind}`)).json()).issuer, origin);
  }
});

// A client that borrows another's document gets no answer of its own.
for (const [name, id, redirect] of [
  ['Claude', CLAUDE, 'https://claude.ai.example/api/mcp/auth_callback'],
  ['Claude', CLAUDE, 'https://claude.ai/api/mcp/auth_callback/'],
  ['Claude Code', CLAUDE_CODE, 'http://localhost:3000/callback/other'],
  ['VS Code', VS_CODE, 'http://127.0.0.1:33418/redirect'],
  ['VS Code', VS_CODE, 'https://vscode.dev/redirect?to=elsewhere'],
]) {
  await test(`nobody is sent to ${redirect} in the name of ${name}`, async () => {
    const context = await profile(browser, { alone: true });
    try {
      const page = await context.newPage();
      const answer = await page.goto(new OauthClient({ id, redirect }).request);
      assert.equal(answer.status(), 400);
      assert.equal(new URL(page.url()).origin, origin);
      assert.equal(await page.locator('a').count(), 0);
    } finally {
      await context.close();
    }
  });
}

await browser.close();
