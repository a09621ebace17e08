// The page that lists and ends what clients may do, in a real browser: light and dark, on a phone and on a desktop.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { complaintsOf, launch, origin, owner, profile } from '../clients/lib/browser.mjs';
import { test } from '../clients/lib/flow.mjs';
import { asking, callback, close } from './lib/client.mjs';
import { accessible, fits, sizes, tabTo } from './lib/look.mjs';

const { SCREENSHOTS_DIR } = process.env;

await mkdir(SCREENSHOTS_DIR, { recursive: true });
const browser = await launch();

// Allows a new client what is ticked beforehand.
async function connect(tab) {
  await tab.goto((await asking()).address);
  await tab.getByLabel('Public key').first().fill(owner.publicKey);
  await tab.getByLabel('Private key').first().fill(owner.privateKey);
  await tab.getByRole('button', { name: 'Connect', exact: true }).click();
  await tab.waitForURL(url => url.href.startsWith(callback));
}

for (const [size, device] of Object.entries(sizes)) {
  for (const colorScheme of ['light', 'dark']) {
    const label = `grants ${size} ${colorScheme}`;
    const context = await profile(browser, { ...device, colorScheme });
    const tab = await context.newPage();
    const complaints = complaintsOf(tab);
    const look = async name => {
      await tab.waitForLoadState('networkidle');
      await tab.screenshot({ path: join(SCREENSHOTS_DIR, `${name}-${size}-${colorScheme}.png`), fullPage: true });
      await fits(tab);
      await accessible(tab);
    };
    const buttons = () => tab.getByRole('button', { name: /^End this connection: A client/ });
    const count = () => buttons().count();
    const press = async selector => {
      await tabTo(tab, selector);
      await Promise.all([tab.waitForEvent('load'), tab.keyboard.press('Enter')]);
    };

    await connect(tab);
    await connect(tab);

    await test(`${label}: says in words what to do about wrong keys`, async () => {
      complaints.length = 0;
      await tab.goto(`${origin}/grants`);
      await look('grants-sign-in');
      assert.deepEqual(complaints, []);
      await tabTo(tab, '#publicKey');
      await tab.keyboard.type(owner.publicKey);
      await tabTo(tab, '#privateKey');
      await tab.keyboard.type('5b000000-0000-4000-8000-0000000000ff');
      await tab.keyboard.press('Enter');
      await tab.getByRole('alert').waitFor();
      assert.match(await tab.getByRole('alert').innerText(), /must be of one API key/);
      await look('grants-wrong');
    });

    await test(`${label}: lists what was allowed and when it ends`, async () => {
      await tab.getByLabel('Public key').fill(owner.publicKey);
      await tab.getByLabel('Private key').fill(owner.privateKey);
      await tab.getByRole('button', { name: 'Show' }).click();
      await buttons().first().waitFor();
      await look('grants');
      assert.ok(await count() >= 2);
      assert.match(await tab.locator('main').innerText(), /Ends\s+\d{4}-\d\d-\d\d/);
    });

    await test(`${label}: one ends after a question that can be declined, from the keyboard alone`, async () => {
      const before = await count();
      await press('button[aria-label^="End this connection"]');
      await tab.getByRole('button', { name: 'End now' }).waitFor();
      assert.equal(await tab.locator('.grants li').count(), 1);
      await look('grants-confirm');
      await press('a[href="/grants"]');
      assert.equal(await count(), before, 'declined: nothing has ended');
      await press('button[aria-label^="End this connection"]');
      await press('button[value="end"]');
      await tab.getByRole('status').waitFor();
      assert.equal(await count(), before - 1);
    });

    await test(`${label}: signing out leaves the clients connected, and the list takes the keys again`, async () => {
      await tab.getByRole('button', { name: 'Sign out' }).click();
      await tab.getByRole('status').waitFor();
      await look('grants-signed-out');
      assert.deepEqual((await context.cookies()).filter(({ name }) => name.endsWith('mcp_grants')), []);
      await tab.goto(`${origin}/grants`);
      await tab.getByLabel('Private key').waitFor();
    });

    await test(`${label}: all end at once after a question that lists them`, async () => {
      await connect(tab);
      await connect(tab);
      await tab.goto(`${origin}/grants`);
      await tab.getByLabel('Public key').fill(owner.publicKey);
      await tab.getByLabel('Private key').fill(owner.privateKey);
      await tab.getByRole('button', { name: 'Show' }).click();
      await buttons().first().waitFor();
      const before = await count();
      await tab.getByRole('button', { name: 'End all of them' }).click();
      await tab.getByRole('button', { name: 'End now' }).waitFor();
      assert.equal(await tab.locator('.grants li').count(), before);
      await look('grants-confirm-all');
      await tab.getByRole('button', { name: 'End now' }).click();
      await tab.getByRole('status').waitFor();
      await look('grants-ended');
      await tab.getByRole('link', { name: 'Show what is left' }).click();
      await tab.getByText('No client is connected.').waitFor();
      await look('grants-none');
    });

    await context.close();
  }
}

await browser.close();
close();
