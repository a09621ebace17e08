// A person at a browser: Chromium without a window, its web security on.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const { BROWSER_DIR, CHROMIUM } = process.env;

// Without the arguments that the package proposes: they are meant for a sealed function, and switch web security off.
export function launch() {
  if (CHROMIUM) return chromium.launch({ executablePath: CHROMIUM });
  return chromium.launch({
    executablePath: join(BROWSER_DIR, 'chromium'),
    env: {
      ...process.env,
      FONTCONFIG_FILE: join(BROWSER_DIR, 'fonts.conf'),
      LD_LIBRARY_PATH: join(BROWSER_DIR, 'al2023', 'lib'),
    },
  });
}

// The sandbox's owner: these keys open nothing but sandboxes.
export const owner = { publicKey: 'SBXOWNER', privateKey: '5b000000-0000-4000-8000-0000000000aa' };

// What a person does from the page that a client opened until the client has its answer; how many clicks and typed fields
// that took. `destroy` ticks what is never ticked beforehand.
export async function approve(address, { destroy = false, from = '203.0.113.77' } = {}) {
  const browser = await launch();
  try {
    const context = await browser.newContext({ extraHTTPHeaders: { 'CF-Connecting-IP': from } });
    const tab = await context.newPage();
    const complaints = [];
    tab.on('console', message => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    const shown = await tab.goto(address);
    assert.equal(shown.status(), 200, await tab.content());
    const redirect = new URL(address).searchParams.get('redirect_uri');
    let [clicks, fields] = [0, 0];
    for (const [name, value] of Object.entries(owner)) {
      await tab.getByLabel(name === 'publicKey' ? 'Public key' : 'Private key').first().fill(value);
      fields += 1;
    }
    if (destroy) {
      await tab.getByLabel('Destroy').check();
      clicks += 1;
    }
    await tab.getByRole('button', { name: 'Connect' }).click();
    clicks += 1;
    // From here on nobody does anything: the page leads back to the client by itself.
    await tab.waitForURL(url => url.href.startsWith(redirect), { timeout: 20_000 });
    assert.deepEqual(complaints, []);
    return { clicks, fields };
  } finally {
    await browser.close();
  }
}

// Starts a program and gives the first authorization address that it prints.
export function authorizationAddress(child, origin) {
  return new Promise((resolve, reject) => {
    let text = '';
    const read = chunk => {
      text += chunk;
      const found = text.match(/https?:\/\/\S*\/authorize\?[^\s"'\u001b]+/);
      if (found && found[0].startsWith(origin)) resolve(found[0]);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.on?.('exit', code => reject(new Error(`it ended with ${code} before it asked for anything: ${text}`)));
    setTimeout(() => reject(new Error(`no authorization address within 40 s: ${text}`)), 40_000).unref();
  });
}
