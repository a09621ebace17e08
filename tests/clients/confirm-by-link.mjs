// A client that shows no forms gives its person a link: the person opens it in a browser, proves to be the one who connected, and
// reads what the call would do.

import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { approve, complaintsOf, launch, origin, owner, Person, profile } from './lib/browser.mjs';
import { isThere, withClusters } from './lib/clusters.mjs';
import { content, headers, test, url } from './lib/flow.mjs';
import { OauthClient } from './lib/oauth.mjs';
import { decline, linkOf, Visitor } from './lib/person.mjs';

const browser = await launch();

// A client whose requests have these header fields, with forms if somebody answers them; gives `call(tool, arguments)`.
async function connected(fields, answer) {
  const client = new Client({ name: 'sdk-1', version: '0' }, { capabilities: answer ? { elicitation: {} } : {} });
  if (answer) client.setRequestHandler(ElicitRequestSchema, async ({ params }) => answer(params));
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers: fields } }));
  return { client, call: (name, args) => client.callTool({ name, arguments: args }) };
}

// A person at a link in a fresh browser, to the page that says that it is allowed. Gives what was shown before.
async function allowInBrowser(link, { publicKey, privateKey }, name) {
  const context = await profile(browser);
  try {
    const page = await context.newPage();
    const complaints = complaintsOf(page);
    const person = new Person(page);
    await page.goto(link);
    const before = await page.locator('main').innerText();
    await person.click(page.getByLabel('Public key'));
    await person.type(publicKey);
    await person.tabTo(page.getByLabel('Private key'));
    await person.type(privateKey);
    await page.keyboard.press('Enter');
    const allow = page.getByRole('button', { name: 'Allow it' });
    await allow.waitFor();
    const shown = await page.locator('main').innerText();
    if (name) {
      await person.click(page.getByLabel('Name', { exact: true }));
      await person.type(name);
    }
    await person.click(allow);
    await page.getByRole('heading', { name: 'Allowed' }).waitFor();
    assert.deepEqual(complaints, [], 'the browser finds no fault with the pages');
    return { before, shown };
  } finally {
    await context.close();
  }
}

await test('sdk 1.32 without forms: a cluster is deleted once the person has typed its name at the link', async () => {
  await withClusters('by-link', 1, async cluster => {
    const { client, call } = await connected(headers());
    const link = linkOf(await call('tidbcloud_delete_cluster', { cluster }));
    assert.equal(new URL(link).origin, origin, 'the link leads to the server that the client is connected with');
    const { before, shown } = await allowInBrowser(link, owner, cluster);
    assert.ok(!before.includes(cluster), `the page shows nothing to somebody unknown: ${before}`);
    assert.match(shown, new RegExp(`Delete the cluster ${cluster} `));
    assert.ok(await isThere(cluster), 'the page itself deletes nothing');
    assert.equal(content(await call('tidbcloud_delete_cluster', { cluster })).status, 'DELETING');
    assert.equal(await isThere(cluster), false);
    assert.equal((await new Visitor(link).prove()).status, 404, 'a link is answered once');
    await client.close();
  });
});

await test('sdk 1.32 without forms: a higher limit is allowed with one button, and for one call', async () => {
  await withClusters('by-link', 1, async cluster => {
    const { client, call } = await connected(headers());
    const limit = cents => call('tidbcloud_update_cluster', { cluster, spendingLimitUsdCents: cents });
    const link = linkOf(await limit(500));
    await allowInBrowser(link, owner);
    assert.equal(content(await limit(500)).spendingLimitUsdCents, 500);
    assert.equal(content(await limit(100)).spendingLimitUsdCents, 100, 'less costs less, and is asked of nobody');
    const again = linkOf(await limit(500));
    assert.notEqual(again, link, 'the same call is asked about anew');
    await decline(again);
    await client.close();
  });
});

// From the address alone to a client that acts for the owner of the keys.
async function byOauth() {
  const client = new OauthClient({ redirect: 'http://127.0.0.1:49322/callback', scope: 'tidb:read tidb:write tidb:destroy' });
  await client.register({ client_name: 'Test client', redirect_uris: [client.redirect], token_endpoint_auth_method: 'none' });
  const { target } = await approve(browser, client.request, { ...owner, scopes: ['tidb:read', 'tidb:write', 'tidb:destroy'] }, { alone: true });
  const { access_token: token } = await client.redeem(client.code(target));
  return { authorization: `Bearer ${token}`, 'cf-connecting-ip': client.address };
}

await test('by OAuth, without forms: the keys that were typed at consent open the link, and no others', async () => {
  await withClusters('by-oauth', 1, async cluster => {
    const { client, call } = await connected(await byOauth());
    const link = linkOf(await call('tidbcloud_delete_cluster', { cluster }));
    // The sandbox's other organization has keys that TiDB Cloud accepts.
    const stranger = await new Visitor(link).prove({ publicKey: 'SBXOTHER', privateKey: '5b000000-0000-4000-8000-0000000000cc' });
    assert.equal(stranger.status, 400, 'a link confirms nothing for a stranger');
    assert.ok(!stranger.html.includes(cluster), 'and shows nothing');
    await allowInBrowser(link, owner, cluster);
    // What one connection was allowed, another was not, though both have the same keys behind them.
    const beside = await connected(headers());
    await decline(linkOf(await beside.call('tidbcloud_delete_cluster', { cluster })));
    await beside.client.close();
    assert.equal(content(await call('tidbcloud_delete_cluster', { cluster })).status, 'DELETING');
    await client.close();
  });
});

await test('by OAuth, with forms: the client asks by itself', async () => {
  await withClusters('by-oauth', 1, async cluster => {
    const { client, call } = await connected(await byOauth(), () => ({ action: 'accept', content: { name: cluster } }));
    assert.equal(content(await call('tidbcloud_delete_cluster', { cluster })).status, 'DELETING');
    assert.equal(await isThere(cluster), false);
    await client.close();
  });
});

await browser.close();
