// What the pages with forms do in a browser besides looking right: without scripts, in two tabs, after mistakes, when they are
// framed, and when a stranger's page sends their form.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Person, approve, complaintsOf, launch, origin, owner, profile } from '../clients/lib/browser.mjs';
import { test } from '../clients/lib/flow.mjs';
import { OauthClient } from '../clients/lib/oauth.mjs';
import { accessible, fits } from './lib/look.mjs';

const { SCREENSHOTS_DIR } = process.env;
const browser = await launch();
await mkdir(SCREENSHOTS_DIR, { recursive: true });

// A client that has registered; where it listens, the browser is shown a page in its place.
async function client() {
  const made = new OauthClient({ redirect: 'http://127.0.0.1:49321/callback' });
  await made.register({ client_name: 'Test client', redirect_uris: [made.redirect] });
  return made;
}

// A tab of a fresh profile at the consent page of a fresh client.
async function atConsent(body, options = {}) {
  const context = await profile(browser, { alone: true, ...options });
  try {
    const tab = await context.newPage();
    const complaints = complaintsOf(tab);
    const asking = await client();
    await tab.goto(asking.request);
    await body({ context, tab, asking, complaints });
  } finally {
    await context.close();
  }
}

async function fill(tab, { publicKey, privateKey }) {
  await tab.getByLabel('Public key').first().fill(publicKey);
  await tab.getByLabel('Private key').first().fill(privateKey);
}

const connect = tab => tab.getByRole('button', { name: 'Connect', exact: true }).click();

// Waits until the browser has arrived at the client; gives the answer that it brought.
async function arrived(tab, asking) {
  await tab.waitForURL(address => address.href.startsWith(asking.redirect));
  return new URL(tab.url());
}

await test('consent works without scripts', async () => {
  const asking = await client();
  const { target } = await approve(browser, asking.request, owner, { alone: true, javaScriptEnabled: false });
  assert.ok((await asking.clusters(await asking.redeem(asking.code(target)))).includes('shop'));
});

await test('where the way back is held up, a link leads there', async () => {
  await atConsent(async ({ tab, asking, complaints }) => {
    // The browser stays where it is on 204 (RFC 9110 section 15.3.5).
    let heldUp = 0;
    await tab.route(`${asking.redirect}?*`, route => {
      heldUp += 1;
      return heldUp === 1 ? route.fulfill({ status: 204 }) : route.fallback();
    });
    await fill(tab, owner);
    await connect(tab);
    await tab.getByRole('heading', { name: 'Connected' }).waitFor();
    await tab.waitForLoadState();
    await tab.screenshot({ path: join(SCREENSHOTS_DIR, 'continue-desktop-light.png') });
    await accessible(tab);
    assert.deepEqual(complaints, []);
    await tab.getByRole('link', { name: 'Continue to the client' }).click();
    asking.code((await arrived(tab, asking)).href);
  });
});

await test('cancelling tells the client so', async () => {
  await atConsent(async ({ tab, asking }) => {
    await tab.getByRole('button', { name: 'Cancel' }).click();
    const { searchParams } = await arrived(tab, asking);
    assert.equal(searchParams.get('error'), 'access_denied');
    assert.deepEqual([searchParams.get('state'), searchParams.get('iss')], [asking.state, origin]);
    assert.equal(searchParams.get('code'), null);
  });
});

await test('a refusal by TiDB Cloud is one message, keeps no secret, and can be put right', async () => {
  await atConsent(async ({ tab, asking }) => {
    const said = [];
    for (const wrong of [
      { publicKey: owner.publicKey, privateKey: '5b000000-0000-4000-8000-00000000dead' },
      { publicKey: 'SBXNOONE', privateKey: '5b000000-0000-4000-8000-00000000dead' },
    ]) {
      await fill(tab, wrong);
      const answered = tab.waitForResponse(`${origin}/consent`);
      await connect(tab);
      assert.equal((await answered).status(), 400);
      await tab.waitForLoadState();
      said.push((await tab.getByRole('alert').innerText()).replace(/Tries left: \d/, ''));
      assert.equal(await tab.getByLabel('Public key').first().inputValue(), wrong.publicKey);
      assert.equal(await tab.getByLabel('Private key').first().inputValue(), '');
      assert.ok(!(await tab.content()).includes(wrong.privateKey));
    }
    assert.equal(said[0], said[1]);
    assert.match(await tab.locator('main').innerText(), /Tries left: 3/);
    await tab.screenshot({ path: join(SCREENSHOTS_DIR, 'consent-refused-desktop-light.png'), fullPage: true });
    await accessible(tab);
    await fill(tab, owner);
    await connect(tab);
    asking.code((await arrived(tab, asking)).href);
  });
});

await test('two pages in two tabs do not get in each other’s way', async () => {
  await atConsent(async ({ context, tab, asking }) => {
    const second = await context.newPage();
    const other = await client();
    await second.goto(other.request);
    for (const [page, whose] of [[tab, asking], [second, other]]) {
      await fill(page, owner);
      await connect(page);
      const tokens = await whose.redeem(whose.code((await arrived(page, whose)).href));
      assert.ok((await whose.clusters(tokens)).includes('shop'));
    }
  });
});

await test('a page that has ended says so when its form is sent again', async () => {
  await atConsent(async ({ tab, asking }) => {
    await fill(tab, owner);
    const all = await tab.locator('form').evaluate(form => [...new FormData(form)]);
    await connect(tab);
    await arrived(tab, asking);
    // The browser's way back, with what it kept of the form.
    await tab.goto(asking.request);
    await tab.locator('form').evaluate((form, fields) => {
      for (const [name, value] of fields) if (name === 'transaction' || name === 'csrf') form.elements[name].value = value;
    }, all);
    await fill(tab, owner);
    const answered = tab.waitForResponse(`${origin}/consent`);
    await connect(tab);
    // Its cookie went with it.
    assert.equal((await answered).status(), 403);
    await tab.waitForLoadState();
    assert.match(await tab.getByRole('alert').innerText(), /go back to the client and connect again/i);
    await accessible(tab);
  });
});

await test('a second organization is unfolded, filled in, and becomes an argument of tools', async () => {
  await atConsent(async ({ tab, asking }) => {
    await fill(tab, owner);
    await tab.getByText('More options').click();
    await tab.getByText('More organizations').click();
    await tab.getByLabel('Name of the organization').first().fill('one');
    await tab.getByLabel('Public key').nth(1).fill('SBXOTHER');
    await tab.getByLabel('Private key').nth(1).fill('5b000000-0000-4000-8000-0000000000cc');
    await tab.getByLabel('Name of the organization').nth(1).fill('two');
    // The tool that takes an organization creates something, and a client that only reads does not list it.
    await tab.locator('#scope-2').check();
    await fits(tab);
    await connect(tab);
    const tokens = await asking.redeem(asking.code((await arrived(tab, asking)).href));
    const { tools } = await asking.ask(tokens, 'tools/list');
    const create = tools.find(tool => tool.name === 'tidbcloud_create_cluster');
    assert.deepEqual(create.inputSchema.properties.organization.enum, ['one', 'two']);
    assert.ok((await asking.clusters(tokens)).includes('shop'));
  });
});

await test('whatever has the focus shows it', async () => {
  await atConsent(async ({ tab }) => {
    const seen = [];
    for (let presses = 0; presses < 40; presses += 1) {
      await tab.keyboard.press('Tab');
      const [name, outline] = await tab.evaluate(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        const { tagName, id, textContent } = document.activeElement;
        return [`${tagName} ${id || textContent.slice(0, 30)}`, outlineStyle === 'none' ? 0 : Number.parseFloat(outlineWidth)];
      });
      if (name.startsWith('BODY')) break;
      assert.ok(outline >= 2, `${name} has an outline of ${outline} px`);
      seen.push(name);
    }
    for (const name of ['scope', 'scope-2', 'scope-3', 'publicKey', 'privateKey', 'Connect', 'Cancel']) {
      assert.ok(seen.some(text => text.endsWith(` ${name}`)), `${name} is not among ${seen.join(', ')}`);
    }
  });
});

// A page of a stranger, who has another site and is near enough for the browser to let it ask us (Local Network Access).
async function strangersPage(context, html) {
  const listener = createServer((request, answer) => answer.setHeader('content-type', 'text/html').end(html));
  await new Promise(resolve => listener.listen(0, 'localhost', resolve));
  const address = `http://localhost:${listener.address().port}/`;
  const page = await context.newPage();
  await page.route(address, route => route.continue());
  await page.goto(address);
  listener.close();
  return page;
}

await test('no page of a stranger frames the consent page', async () => {
  await atConsent(async ({ context, asking }) => {
    const stranger = await strangersPage(context, '<!doctype html><iframe width="800" height="600"></iframe>');
    const refused = stranger.waitForEvent('console', message => message.text().includes('frame-ancestors'));
    refused.catch(() => {});
    const loaded = stranger.waitForResponse(answer => answer.url() === asking.request);
    await stranger.locator('iframe').evaluate((frame, address) => { frame.src = address; }, asking.request);
    assert.equal((await loaded).status(), 200);
    await refused;
    for (const frame of stranger.frames()) assert.equal(await frame.locator('form').count(), 0);
  });
});

await test('no page of a stranger sends the form, even with all that is in it', async () => {
  await atConsent(async ({ context, tab, asking }) => {
    await fill(tab, owner);
    const stolen = await tab.locator('form').evaluate(form => [...new FormData(form)]);
    const stranger = await strangersPage(context, '<!doctype html><form method="post"></form>');
    const answered = stranger.waitForResponse(`${origin}/consent`);
    await stranger.locator('form').evaluate((form, [action, fields]) => {
      for (const [name, value] of [...fields, ['decision', 'allow']]) {
        form.append(Object.assign(document.createElement('input'), { name, value }));
      }
      Object.assign(form, { action }).submit();
    }, [`${origin}/consent`, stolen]);
    assert.equal((await answered).status(), 403);
    // The person's own page is as good as before.
    await connect(tab);
    asking.code((await arrived(tab, asking)).href);
  });
});

await test('a grant that a person ends in the browser is over for its client', async () => {
  const asking = await client();
  const tokens = await asking.redeem(asking.code((await approve(browser, asking.request, owner, { alone: true })).target));
  assert.ok((await asking.clusters(tokens)).includes('shop'));
  const context = await profile(browser, { alone: true, javaScriptEnabled: false });
  try {
    const tab = await context.newPage();
    await tab.goto(`${origin}/grants`);
    const person = new Person(tab);
    await person.tabTo(tab.getByLabel('Public key'));
    await person.type(owner.publicKey);
    await person.tabTo(tab.getByLabel('Private key'));
    await person.type(owner.privateKey);
    await tab.keyboard.press('Enter');
    // The newest is the first.
    await person.tabTo(tab.getByRole('button', { name: /End this connection/ }).first());
    await tab.keyboard.press('Enter');
    await person.tabTo(tab.getByRole('button', { name: 'End now' }));
    await tab.keyboard.press('Enter');
    await tab.getByRole('status').waitFor();
    const kept = await context.cookies();
    assert.ok(kept.every(cookie => cookie.httpOnly && cookie.sameSite === 'Lax'), JSON.stringify(kept));
  } finally {
    await context.close();
  }
  await assert.rejects(asking.clusters(tokens), /401/);
  assert.equal((await asking.refresh(tokens)).error, 'invalid_grant');
});

await test('an address that is no request of a client ends on a page that leads nowhere', async () => {
  const context = await profile(browser, { alone: true });
  try {
    const tab = await context.newPage();
    const answer = await tab.goto(`${origin}/authorize?client_id=nobody&redirect_uri=https://stranger.example/`);
    assert.equal(answer.status(), 400);
    await tab.screenshot({ path: join(SCREENSHOTS_DIR, 'error-desktop-light.png') });
    await accessible(tab);
    assert.equal(await tab.locator('a').count(), 0);
  } finally {
    await context.close();
  }
});

await browser.close();
