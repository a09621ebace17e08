// The pages on which credentials are handed in and secrets are taken, in a real browser: light and dark, on a phone and on a desktop.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { complaintsOf, launch, origin, owner, profile } from '../clients/lib/browser.mjs';
import { advance, test } from '../clients/lib/flow.mjs';
import { call, close, keyHeaders, linkOf } from './lib/client.mjs';
import { accessible, fits, sizes, tabTo } from './lib/look.mjs';

const { SANDBOX_URL, SCREENSHOTS_DIR } = process.env;
const secret = 'canary/secret+access=key';
const account = '{\n  "type": "service_account",\n  "private_key": "canary"\n}';

await mkdir(SCREENSHOTS_DIR, { recursive: true });
const browser = await launch();

// Whoever runs this again asks about something else: what was allowed is not asked.
let number = Date.now() % 1_000_000;

async function prove(tab) {
  await tabTo(tab, '#publicKey');
  await tab.keyboard.type(owner.publicKey);
  await tabTo(tab, '#privateKey');
  await tab.keyboard.type(owner.privateKey);
  await tab.keyboard.press('Enter');
}

for (const [size, device] of Object.entries(sizes)) {
  for (const colorScheme of ['light', 'dark']) {
    const label = `${size} ${colorScheme}`;
    const context = await profile(browser, { ...device, colorScheme });
    const tab = await context.newPage();
    const complaints = complaintsOf(tab);
    const picture = name => tab.screenshot({ path: join(SCREENSHOTS_DIR, `${name}-${size}-${colorScheme}.png`), fullPage: true });
    const looksRight = async name => {
      await tab.waitForLoadState();
      await picture(name);
      await fits(tab);
      await accessible(tab);
      await fits(tab);
    };
    number += 1;
    const exported = more => ({ cluster: 'shop', database: 'shop', table: 'orders', where: `id > ${number}`, ...more });

    await test(`handed ${label}: keys are typed below the target, from the keyboard alone, and reach the call`, async () => {
      const toS3 = exported({ target: 's3://reports/2026-11' });
      const link = await linkOf('tidbcloud_start_export', toS3, keyHeaders);
      await tab.goto(link);
      assert.equal(await tab.getByLabel('Secret access key').count(), 0, 'a link alone asks for nothing');
      await prove(tab);
      await tab.getByLabel('Secret access key').waitFor();
      await looksRight('hand-in');
      const [target, field] = await Promise.all(['dd >> text=s3://reports/2026-11', '#given-key'].map(one => tab.locator(one).first().boundingBox()));
      assert.ok(target.y < field.y, 'what it is for stands above the fields');
      assert.equal(await tab.locator('#given-key').getAttribute('type'), 'password');
      await tabTo(tab, '#given-key');
      await tab.keyboard.type(secret);
      await tab.keyboard.press('Enter');
      await tab.getByRole('alert').waitFor();
      await looksRight('hand-in-problem');
      assert.equal(await tab.locator('#given-accessKeyId').getAttribute('aria-invalid'), 'true');
      assert.equal(await tab.locator('#given-key').inputValue(), '', 'a secret is not filled in again');
      await tabTo(tab, '.problems a');
      await tab.keyboard.press('Enter');
      assert.ok(await tab.evaluate(() => document.activeElement?.id === 'given-accessKeyId'), 'the summary leads to the field');
      await tab.keyboard.type('AKIACANARY0123456789');
      await tabTo(tab, '#given-key');
      await tab.keyboard.type(secret);
      await tab.keyboard.press('Enter');
      await tab.getByRole('heading', { name: 'Allowed' }).waitFor();
      const done = await call('tidbcloud_start_export', toS3, keyHeaders);
      assert.ok(done.id, JSON.stringify(done));
      await call('tidbcloud_cancel_transfer', { cluster: 'shop', kind: 'export', id: done.id }, { ...keyHeaders, 'X-MCP-Unattended': 'destroy' });
    });

    await test(`handed ${label}: the key of a service account has lines`, async () => {
      const link = await linkOf('tidbcloud_start_export', exported({ target: 'gs://reports/2026-11' }), keyHeaders);
      await tab.goto(link);
      await prove(tab);
      await tab.getByLabel('Service account key').fill(account);
      await looksRight('hand-in-lines');
      await tab.getByRole('button', { name: 'Decline' }).click();
      await tab.getByRole('heading', { name: 'Declined' }).waitFor();
    });

    await test(`handed ${label}: a file is taken once, and its storage is not told from where`, async () => {
      const download = exported({});
      await tab.goto(await linkOf('tidbcloud_start_export', download, keyHeaders));
      await prove(tab);
      await tab.getByRole('button', { name: 'Allow it' }).click();
      await tab.getByRole('heading', { name: 'Allowed' }).waitFor();
      const { id } = await call('tidbcloud_start_export', download, keyHeaders);
      await advance(30);
      const files = await call('tidbcloud_get_export_files', { cluster: 'shop', id }, keyHeaders);
      assert.ok(files.link?.startsWith(`${origin}/handed/`), JSON.stringify(files));
      complaints.length = 0;
      await tab.goto(files.link);
      await looksRight('handed-proof');
      const { name } = files.files[0];
      assert.ok(!(await tab.content()).includes(name), 'the page shows its files to anybody');
      await prove(tab);
      const button = tab.getByRole('button', { name: `Download ${name}` });
      await button.waitFor();
      await looksRight('handed');
      const asked = [];
      const held = route => {
        asked.push(route.request());
        return route.fulfill({ status: 200, headers: { 'content-disposition': 'attachment; filename="x.csv"' }, body: 'id\n' });
      };
      await context.route(`${SANDBOX_URL}/**`, held);
      const downloads = [];
      context.on('page', other => other.on('download', download => downloads.push(download)));
      const opens = context.waitForEvent('page');
      await button.click();
      const second = await opens;
      await second.locator('#continue').waitFor();
      while (downloads.length < 1) await second.waitForTimeout(50);
      await second.screenshot({ path: join(SCREENSHOTS_DIR, `handed-taken-${size}-${colorScheme}.png`), fullPage: true });
      await fits(second);
      await accessible(second);
      assert.equal(asked.length, 1, 'the browser follows the address once, by itself');
      assert.equal((await asked[0].allHeaders()).referer, undefined, 'and says nothing of this page');
      assert.equal(await second.locator('#continue').getAttribute('href'), asked[0].url(), 'a link is there if it does not');
      await second.locator('#continue').click();
      while (downloads.length < 2) await second.waitForTimeout(50);
      assert.equal((await asked[1].allHeaders()).referer, undefined, 'which says nothing either');
      await button.click();
      await second.getByText(files.files.length > 1 ? 'This was taken already.' : 'There is nothing to take here').waitFor();
      assert.equal(asked.length, 2, 'there is no second time');
      await context.unroute(`${SANDBOX_URL}/**`, held);
      await tab.goto(files.link);
      await prove(tab);
      const left = files.files.length > 1 ? 'Taken.' : 'There is nothing to take here';
      await tab.getByText(left).waitFor();
      const foreign = complaints.filter(complaint => !complaint.startsWith('404:'));
      assert.deepEqual(foreign.filter(complaint => !complaint.includes('404')), []);
    });

    await context.close();
  }
}

await browser.close();
close();
