// The page on which a person confirms a call, in a real browser: light and dark, on a phone and on a desktop.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { complaintsOf, launch, origin, owner, profile } from '../clients/lib/browser.mjs';
import { test } from '../clients/lib/flow.mjs';
import { asking, callback, close, keyHeaders, linkOf, redeem } from './lib/client.mjs';
import { accessible, fits, sizes, tabTo } from './lib/look.mjs';

const { SCREENSHOTS_DIR } = process.env;

// Nineteen rows and a table that goes, last. Whoever runs this again asks about something else: what was allowed is not asked.
let number = Date.now() % 1_000_000;
function statements() {
  number += 1;
  const note = `${'a note that is long enough to wrap on every screen, '.repeat(3)}${'and_a_name_without_a_place_to_break'.repeat(4)}`;
  const inserts = Array.from({ length: 19 }, (_, row) => `INSERT INTO shop.event_log\n  (at, kind, payload)\n  VALUES (NOW(), 'paid' /* ${row === 3 ? note : row} */, ${number * 100 + row})`);
  return [...inserts, 'DROP TABLE shop.event_log'];
}

await mkdir(SCREENSHOTS_DIR, { recursive: true });
const browser = await launch();

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

    await test(`confirm ${label}: asks who it is, and shows nothing before`, async () => {
      const link = await linkOf('db_execute', { cluster: 'shop', sql: statements() }, keyHeaders);
      assert.equal((await tab.goto(link, { waitUntil: 'networkidle' })).status(), 200);
      await looksRight('confirm-proof');
      assert.ok(!(await tab.content()).includes('event_log'), 'the page shows what would happen to anybody');
      assert.deepEqual(complaints, []);
      await tab.getByLabel('Public key').fill(owner.publicKey);
      await tab.getByLabel('Private key').fill('5b000000-0000-4000-8000-0000000000ab');
      await tab.getByRole('button', { name: 'Show what it is' }).click();
      await tab.getByRole('alert').waitFor();
      await looksRight('confirm-proof-problem');
      assert.equal(await tab.getByLabel('Public key').getAttribute('aria-invalid'), 'true');
      assert.equal(await tab.getByLabel('Private key').inputValue(), '', 'a secret is not filled in again');
    });

    await test(`confirm ${label}: twenty statements are read, and allowed from the keyboard alone`, async () => {
      await tabTo(tab, '#publicKey');
      await tab.keyboard.type(owner.publicKey);
      await tabTo(tab, '#privateKey');
      await tab.keyboard.type(owner.privateKey);
      await tab.keyboard.press('Enter');
      await tab.locator('#name').waitFor();
      complaints.length = 0;
      await looksRight('confirm');
      const shown = tab.locator('pre');
      assert.equal(await shown.count(), 20, 'every statement is there');
      assert.ok((await shown.first().innerText()).startsWith('DROP TABLE'), 'what destroys stands first');
      const scrolls = await shown.evaluateAll(all => all.some(one => one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight + 2));
      assert.ok(!scrolls, 'nothing of a statement is out of sight');
      await tabTo(tab, '#name');
      await tab.keyboard.type('shpo');
      await tab.keyboard.press('Enter');
      await tab.getByRole('alert').waitFor();
      await looksRight('confirm-problem');
      assert.equal(await tab.locator('#name').getAttribute('aria-invalid'), 'true');
      await tabTo(tab, '.problems a');
      await tab.keyboard.press('Enter');
      assert.ok(await tab.evaluate(() => document.activeElement?.id === 'name'), 'the summary leads to the field');
      await tab.keyboard.type('shop');
      await tab.keyboard.press('Enter');
      await tab.getByRole('heading', { name: 'Allowed' }).waitFor();
      await looksRight('confirm-allowed');
    });

    await test(`confirm ${label}: the browser of the consent needs no keys`, async () => {
      complaints.length = 0;
      const { id, address } = await asking();
      await tab.goto(address);
      await tab.getByText('More options').click();
      await tab.getByText('How you are asked').click();
      await looksRight('consent-asked');
      await tab.locator('input[value="tidb:destroy"]').check();
      await tab.getByLabel('Public key').first().fill(owner.publicKey);
      await tab.getByLabel('Private key').first().fill(owner.privateKey);
      await tab.getByRole('button', { name: 'Connect' }).click();
      await tab.waitForURL(url => url.href.startsWith(callback));
      const token = await redeem(id, new URL(tab.url()).searchParams.get('code'));
      const link = await linkOf('tidbcloud_delete_cluster', { cluster: 'shop' }, { authorization: `Bearer ${token}` });
      await tab.goto(link);
      await looksRight('confirm-known');
      await tab.goto(link);
      await tabTo(tab, 'button');
      await tab.keyboard.press('Enter');
      await tab.locator('#name').waitFor();
      await looksRight('confirm-cluster');
      await tabTo(tab, 'button[value="decline"]');
      await tab.keyboard.press('Enter');
      await tab.getByRole('heading', { name: 'Declined' }).waitFor();
      await looksRight('confirm-declined');
      assert.equal(new URL(tab.url()).origin, origin);
      assert.deepEqual(complaints, []);
    });

    await context.close();
  }
}

await browser.close();
close();
