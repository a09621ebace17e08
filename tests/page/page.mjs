// The landing page in a real browser: light and dark, on a phone and on a desktop.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { launch } from '../clients/lib/browser.mjs';
import { test, toolNames } from '../clients/lib/flow.mjs';

const { MCP_URL, SCREENSHOTS_DIR } = process.env;
const page = new URL('/', MCP_URL).href;
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// What a person copies for each client.
const snippets = {
  Claude: /mcp-remote/,
  'Claude Code': /claude mcp add --transport http/,
  Cursor: /"mcpServers"/,
  'VS Code': /"servers"/,
  ChatGPT: /OAuth/,
  Codex: /codex mcp add/,
  'Gemini CLI': /"httpUrl"/,
  Other: /"serverUrl"[^]*"context_servers"/,
};

const sizes = {
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  desktop: { viewport: { width: 1280, height: 900 } },
};

await mkdir(SCREENSHOTS_DIR, { recursive: true });
const browser = await launch();

for (const [size, device] of Object.entries(sizes)) {
  for (const colorScheme of ['light', 'dark']) {
    const label = `page ${size} ${colorScheme}`;
    const context = await browser.newContext({
      ...device,
      colorScheme,
      extraHTTPHeaders: { 'CF-Connecting-IP': '203.0.113.250' },
    });
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: new URL(page).origin });
    const tab = await context.newPage();
    const complaints = [];
    tab.on('console', message => {
      if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
    });
    tab.on('pageerror', error => complaints.push(String(error)));
    tab.on('requestfailed', request => complaints.push(`failed: ${request.url()}`));
    tab.on('response', response => {
      if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
      if (new URL(response.url()).origin !== new URL(page).origin) complaints.push(`foreign: ${response.url()}`);
    });

    await test(`${label}: loads without a complaint`, async () => {
      const response = await tab.goto(page, { waitUntil: 'networkidle' });
      assert.equal(response.status(), 200, `the page is served: ${response.status()}`);
      await tab.screenshot({ path: join(SCREENSHOTS_DIR, `${size}-${colorScheme}.png`), fullPage: true });
      assert.deepEqual(complaints, [], `the browser has no complaint and loads nothing from elsewhere: ${complaints}`);
    });

    await test(`${label}: does not scroll sideways`, async () => {
      const [content, window] = await tab.evaluate(() => [
        document.documentElement.scrollWidth,
        document.documentElement.clientWidth,
      ]);
      assert.ok(content <= window, `${content} px of content in a window of ${window} px`);
    });

    await test(`${label}: is ${colorScheme}`, async () => {
      // Perceived lightness of the page's own background (relative luminance without gamma, good enough for a side).
      const lightness = await tab.evaluate(() => {
        const colour = [document.body, document.documentElement]
          .map(element => getComputedStyle(element).backgroundColor)
          .find(value => value !== 'rgba(0, 0, 0, 0)') ?? 'rgb(255, 255, 255)';
        const canvas = document.createElement('canvas').getContext('2d');
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
        return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
      });
      assert.ok(colorScheme === 'light' ? lightness > 0.7 : lightness < 0.3, `lightness ${lightness.toFixed(2)}`);
    });

    await test(`${label}: shows every tool, the address of the server and its state`, async () => {
      const text = await tab.evaluate(() => document.body.innerText);
      const missing = toolNames.filter(name => !text.includes(name));
      assert.deepEqual(missing, [], `the page lists every tool; write it with UPDATE_EXPECT=1 cargo xtask test catalogue: ${missing}`);
      assert.equal((await tab.locator('header pre').innerText()).trim(), new URL('/mcp', page).href);
      await tab.locator('#state.works').waitFor();
    });

    await test(`${label}: the keyboard goes from client to client`, async () => {
      const chosen = tab.locator('[role="tab"][aria-selected="true"]');
      assert.equal(await chosen.innerText(), 'Claude Code', 'the first that reaches a server on this machine');
      await tab.getByRole('tab').first().click();
      for (const [client, snippet] of Object.entries(snippets)) {
        assert.equal(await tab.evaluate(() => document.activeElement.textContent), client);
        const panel = tab.getByRole('tabpanel');
        assert.equal(await panel.count(), 1, 'one client is shown at a time');
        for (const fold of await panel.locator('summary').all()) await fold.click();
        assert.match(await panel.innerText(), snippet, `the page has what a person copies for ${client}`);
        const { found, cut } = await panel.evaluate(element => ({
          found: element.querySelectorAll('pre').length,
          cut: [...element.querySelectorAll('pre')].filter(pre => pre.scrollWidth > pre.clientWidth).map(pre => pre.innerText),
        }));
        assert.ok(found > 0);
        assert.deepEqual(cut, [], 'no snippet is cut');
        await tab.getByRole('tab', { name: client, exact: true }).focus();
        await tab.keyboard.press('ArrowRight');
      }
      assert.equal(await tab.evaluate(() => document.activeElement.textContent), 'Claude', 'the last is followed by the first');
      await tab.keyboard.press('End');
      assert.equal(new URL(tab.url()).hash, '#other');
      await tab.keyboard.press('Home');
      assert.equal(new URL(tab.url()).hash, '#claude');
    });

    await test(`${label}: a button copies what stands beside it`, async () => {
      await tab.getByRole('button', { name: 'Copy: Server address' }).click();
      await tab.getByText('Copied.', { exact: true }).waitFor({ state: 'attached' });
      assert.equal((await tab.evaluate(() => navigator.clipboard.readText())).trim(), new URL('/mcp', page).href);
    });

    await test(`${label}: the search leaves what has every word`, async () => {
      const search = tab.getByRole('searchbox');
      const rows = tab.locator('tbody tr:has(td):visible');
      await search.fill('backup destroys');
      assert.ok((await rows.allInnerTexts()).some(row => row.includes('tidbcloud_delete_backup')));
      assert.ok((await rows.count()) < 5);
      await search.fill('nothing has this');
      assert.equal(await rows.count(), 0);
      assert.equal(await tab.locator('#found').innerText(), '0 tools');
      await search.fill('');
      assert.equal(await rows.count(), toolNames.length);
    });

    await test(`${label}: is accessible, with text of contrast AAA`, async () => {
      await tab.evaluate(axe);
      for (const client of Object.keys(snippets)) {
        await tab.getByRole('tab', { name: client, exact: true }).click();
        const { violations } = await tab.evaluate(() =>
          globalThis.axe.run({ rules: { 'color-contrast-enhanced': { enabled: true } } }));
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.target.join(' ')).join(', ')}`);
        assert.deepEqual(found, [], `axe finds nothing to complain about: ${found}`);
      }
    });

    await context.close();
  }
}

await test('page: without a script everything stands on it', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const tab = await context.newPage();
  await tab.goto(page);
  for (const client of Object.keys(snippets)) {
    assert.ok(await tab.getByRole('heading', { name: client, exact: true }).isVisible(), client);
  }
  assert.equal(await tab.getByRole('searchbox').count(), 0, 'nothing is offered that does not work');
  assert.ok(await tab.getByText('tidbcloud_delete_cluster').isVisible());
  await context.close();
});

await test('page: the address of the endpoint says in a browser what it is', async () => {
  const tab = await browser.newPage();
  const response = await tab.goto(new URL('/mcp', page).href);
  assert.deepEqual([response.status(), response.headers().allow], [405, 'POST, DELETE, OPTIONS']);
  await tab.screenshot({ path: join(SCREENSHOTS_DIR, 'endpoint-desktop-light.png') });
  await tab.getByRole('link', { name: 'How to connect each client' }).click();
  await tab.getByRole('heading', { name: 'Connect', exact: true }).waitFor();
  await tab.close();
});

await browser.close();
