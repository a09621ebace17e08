// A person in front of a real browser: headless Chromium with its web security on.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { url as server } from './flow.mjs';
import { owner, ownAddress } from './person.mjs';

export { owner, ownAddress };

export const origin = server.origin;

function program() {
  const { BROWSER_DIR, CHROMIUM } = process.env;
  if (CHROMIUM) return { executablePath: CHROMIUM };
  // Without the arguments that the package proposes: they are meant for a sealed function, and switch web security off.
  return {
    executablePath: join(BROWSER_DIR, 'chromium'),
    env: {
      ...process.env,
      FONTCONFIG_FILE: join(BROWSER_DIR, 'fonts.conf'),
      LD_LIBRARY_PATH: join(BROWSER_DIR, 'al2023', 'lib'),
    },
  };
}

export const launch = () => chromium.launch(program());

// What the browser complains about on pages of the server: blocked styles and scripts, failed requests, errors.
export function complaintsOf(page) {
  const complaints = [];
  const ours = address => address.startsWith(`${origin}/`) || address === '';
  page.on('console', message => {
    const wrong = ['error', 'warning'].includes(message.type()) && ours(message.location().url);
    if (wrong) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', error => complaints.push(String(error)));
  page.on('response', response => {
    if (response.status() >= 400 && ours(response.url())) complaints.push(`${response.status()}: ${response.url()}`);
  });
  return complaints;
}

// A fresh profile. The server is told the person's address; nobody else is told anything, and nobody outside this machine is
// asked: a page of our own stands in for whatever the browser would have shown. With `alone`, so it is for other programs of
// this machine.
export async function profile(browser, { alone = false, ...device } = {}) {
  const context = await browser.newContext(device);
  const address = ownAddress();
  await context.route('**/*', async route => {
    const request = route.request();
    const target = new URL(request.url());
    if (target.origin === origin) {
      await route.continue({ headers: { ...(await request.allHeaders()), 'cf-connecting-ip': address } });
    } else if (['127.0.0.1', 'localhost', '[::1]'].includes(target.hostname) && !alone) {
      await route.continue();
    } else {
      await route.fulfill({ status: 200, contentType: 'text/html', body: '<!doctype html><title>elsewhere</title>' });
    }
  });
  return context;
}

// A person at a page, whose clicks and typed fields are counted.
export class Person {
  constructor(page) {
    this.page = page;
    this.clicks = 0;
    this.typed = 0;
  }

  async click(locator) {
    this.clicks += 1;
    await locator.click();
  }

  // Types into the field that has the focus.
  async type(text) {
    this.typed += 1;
    await this.page.keyboard.type(text);
  }

  // Goes to a field with the Tab key.
  async tabTo(field) {
    const reached = () => field.evaluate(element => element === document.activeElement);
    for (let steps = 0; !(await reached()); steps += 1) {
      assert.ok(steps < 80, 'the Tab key does not get there');
      await this.page.keyboard.press('Tab');
    }
  }
}

// Opens an authorization request as a client's `open` does, fills the form as a person would, presses Connect, and follows to
// where the client listens. `scopes` are the boxes that end up ticked; left out, what is preselected stays.
//
// Gives the number of clicks and typed fields, the page's text, the address that the browser was sent to, and the status it
// got there.
export async function approve(browser, request, { publicKey, privateKey, name, scopes } = owner, options = {}) {
  const context = await profile(browser, options);
  try {
    const page = await context.newPage();
    const complaints = complaintsOf(page);
    const redirect = new URL(new URL(request).searchParams.get('redirect_uri'));
    const arrival = page.waitForResponse(answer => {
      const at = new URL(answer.url());
      return at.origin === redirect.origin && at.pathname === redirect.pathname && answer.request().isNavigationRequest();
    });
    // An earlier failure has said why.
    arrival.catch(() => {});
    const opened = await page.goto(request);
    assert.equal(opened.status(), 200, `the consent page: ${await opened.text()}`);
    const text = await page.locator('main').innerText();

    const person = new Person(page);
    await person.click(page.getByLabel('Public key').first());
    await person.type(publicKey);
    await person.tabTo(page.getByLabel('Private key').first());
    await person.type(privateKey);
    if (name) {
      await person.click(page.getByText('More options'));
      await person.click(page.getByText('More organizations'));
      await person.tabTo(page.getByLabel('Name of the organization').first());
      await person.type(name);
    }
    for (const box of await page.getByRole('checkbox').all()) {
      if (scopes && (await box.isChecked()) !== scopes.includes(await box.getAttribute('value'))) await person.click(box);
    }
    const answered = page.waitForResponse(`${origin}/consent`);
    await person.click(page.getByRole('button', { name: 'Connect', exact: true }));
    const answer = await answered;
    if (answer.status() !== 200) throw new Error(`consent was refused: ${await page.locator('main').innerText()}`);
    const count = { clicks: person.clicks, typed: person.typed, text };

    // What does not lead to a server, a browser hands to the system.
    if (!redirect.protocol.startsWith('http')) {
      const target = await page.locator('#continue').getAttribute('href');
      assert.deepEqual(complaints, []);
      return { ...count, target };
    }
    const arrived = await arrival;
    assert.deepEqual(complaints, []);
    return { ...count, target: arrived.url(), status: arrived.status() };
  } finally {
    await context.close();
  }
}

export const counted = ({ clicks, typed }) => `(${clicks} clicks, ${typed} typed fields)`;
