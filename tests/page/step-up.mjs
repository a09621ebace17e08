// The page on which a person allows a client more, in a real browser: light and dark, on a phone and on a desktop. The client is a
// hosted one: its answers go to another machine by https.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { complaintsOf, launch, owner, profile } from '../clients/lib/browser.mjs';
import { test } from '../clients/lib/flow.mjs';
import { OauthClient } from '../clients/lib/oauth.mjs';
import { accessible, fits, sizes, tabTo } from './lib/look.mjs';

const { SCREENSHOTS_DIR } = process.env;
const redirect = 'https://app.example/callback';
const rename = { name: 'tidbcloud_update_cluster', arguments: { cluster: 'shop', labels: { team: 'shop' } } };

await mkdir(SCREENSHOTS_DIR, { recursive: true });
const browser = await launch();

// The status of a call that changes something, and the scope that it lacks.
async function change(client, tokens) {
  const answer = await client.call(tokens, 'tools/call', rename);
  return { status: answer.status, lacks: answer.headers.get('www-authenticate')?.match(/scope="([^"]+)"/)?.[1] };
}

for (const [size, device] of Object.entries(sizes)) {
  for (const colorScheme of ['light', 'dark']) {
    const label = `step-up ${size} ${colorScheme}`;
    const context = await profile(browser, { ...device, colorScheme });
    const tab = await context.newPage();
    const complaints = complaintsOf(tab);
    const arrival = () => tab.waitForURL(url => url.href.startsWith(redirect)).then(() => tab.url());

    await test(`${label}: a client that was refused is allowed more without the keys, and has one connection`, async () => {
      const client = new OauthClient({ redirect });
      await client.register({ client_name: 'A hosted client', redirect_uris: [redirect] });
      await tab.goto(client.request);
      await tab.getByLabel('Public key').first().fill(owner.publicKey);
      await tab.getByLabel('Private key').first().fill(owner.privateKey);
      await tab.getByRole('button', { name: 'Connect', exact: true }).click();
      const first = await client.redeem(client.code(await arrival()));
      const refused = await change(client, first);
      assert.deepEqual(refused, { status: 403, lacks: 'tidb:read tidb:write' });

      const again = new OauthClient({ id: client.id, redirect, scope: refused.lacks });
      complaints.length = 0;
      await tab.goto(again.request, { waitUntil: 'networkidle' });
      assert.equal(await tab.title(), 'A hosted client wants to change things');
      assert.equal(await tab.locator('input[type=password]').count(), 0, 'no key is asked for');
      assert.equal(await tab.locator('input:checked').count(), 0, 'nothing is ticked beforehand');
      assert.ok((await tab.textContent('main')).includes('app.example'), 'it says where the answer goes');
      await tab.screenshot({ path: join(SCREENSHOTS_DIR, `step-up-${size}-${colorScheme}.png`), fullPage: true });
      await fits(tab);
      await accessible(tab);
      assert.deepEqual(complaints, []);

      await tab.getByRole('button', { name: 'Allow', exact: true }).click();
      await tab.getByRole('alert').waitFor();
      await tabTo(tab, 'input[value="tidb:write"]');
      await tab.keyboard.press('Space');
      await tab.getByRole('button', { name: 'Allow', exact: true }).click();
      const second = await again.redeem(again.code(await arrival()));
      assert.equal((await change(again, second)).status, 200);
      assert.equal((await change(client, first)).status, 401, 'the connection that it had has ended');
    });

    await test(`${label}: another client is asked for keys`, async () => {
      const stranger = new OauthClient({ redirect, scope: 'tidb:write' });
      await stranger.register({ client_name: 'Another client', redirect_uris: [redirect] });
      await tab.goto(stranger.request);
      assert.equal(await tab.title(), 'Connect a client to TiDB Cloud');
      assert.ok((await tab.locator('input[type=password]').count()) > 0);
    });
    await context.close();
  }
}

await browser.close();
