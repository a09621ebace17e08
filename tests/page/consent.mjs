// The consent page in a real browser: light and dark, on a phone and on a desktop.

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

for (const [size, device] of Object.entries(sizes)) {
  for (const colorScheme of ['light', 'dark']) {
    const label = `${size} ${colorScheme}`;
    const context = await profile(browser, { ...device, colorScheme });
    const tab = await context.newPage();
    const complaints = complaintsOf(tab);
    const picture = name => tab.screenshot({ path: join(SCREENSHOTS_DIR, `${name}-${size}-${colorScheme}.png`), fullPage: true });

    await test(`consent ${label}: loads without a complaint, fits and is accessible`, async () => {
      assert.equal((await tab.goto((await asking()).address, { waitUntil: 'networkidle' })).status(), 200);
      await picture('consent');
      assert.deepEqual(complaints, []);
      await fits(tab);
      const folds = tab.locator('summary:visible');
      assert.deepEqual(await folds.allInnerTexts(), ['More options'], 'what is optional is behind one fold');
      assert.equal(await tab.locator('.warning').count(), 0, 'a program on this computer is no danger');
      await folds.click();
      await picture('consent-options');
      await accessible(tab);
      await fits(tab);
      assert.ok((await tab.textContent('main')).includes('A client <b>with</b> "marks"'), 'a name is text');
    });

    await test(`consent ${label}: says what is wrong, at the top and at the field`, async () => {
      await tab.reload();
      await tab.getByLabel('Public key').first().fill(owner.publicKey);
      await tab.getByRole('button', { name: 'Connect' }).click();
      await tab.getByRole('alert').waitFor();
      await tab.waitForLoadState();
      await picture('consent-problem');
      const field = tab.getByLabel('Private key').first();
      assert.equal(await tab.locator('main > form > details[open]').count(), 0, 'nothing in the fold is wrong');
      assert.equal(await field.getAttribute('aria-invalid'), 'true');
      assert.equal(await field.inputValue(), '');
      assert.equal(await tab.getByLabel('Public key').first().inputValue(), owner.publicKey);
      await accessible(tab);
    });

    await test(`consent ${label}: can be filled in and sent from the keyboard alone`, async () => {
      complaints.length = 0;
      await tab.goto((await asking()).address);
      await tabTo(tab, '#publicKey');
      await tab.keyboard.type(owner.publicKey);
      await tabTo(tab, '#privateKey');
      await tab.keyboard.type(owner.privateKey);
      await tab.keyboard.press('Enter');
      await tab.waitForURL(url => url.href.startsWith(callback));
      const answer = new URL(tab.url()).searchParams;
      assert.ok(answer.get('code')?.startsWith('tdb_ac_v1.'));
      assert.deepEqual([answer.get('state'), answer.get('iss')], ['state', origin]);
      assert.deepEqual(complaints, []);
    });

    await context.close();
  }
}

await browser.close();
close();
