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
  'Claude Code': /claude mcp add --transport http/,
  Cursor: /"mcpServers"/,
  'VS Code': /"servers"/,
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

    await test(`${label}: shows every tool and how to connect each client`, async () => {
      // Panels that are folded are content as well.
      await tab.evaluate(() => document.querySelectorAll('details').forEach(panel => { panel.open = true; }));
      const text = await tab.evaluate(() => document.body.innerText);
      const missing = toolNames.filter(name => !text.includes(name));
      assert.deepEqual(missing, [], `the page lists every tool; write it with UPDATE_EXPECT=1 cargo xtask test catalogue: ${missing}`);
      for (const [client, snippet] of Object.entries(snippets)) {
        assert.ok(text.includes(client), `the page says how to connect ${client}`);
        assert.match(text, snippet, `the page has what a person copies for ${client}`);
      }
    });

    await test(`${label}: is accessible`, async () => {
      await tab.evaluate(axe);
      const { violations } = await tab.evaluate(() => globalThis.axe.run());
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.target.join(' ')).join(', ')}`);
      assert.deepEqual(found, [], `axe finds nothing to complain about: ${found}`);
    });

    await context.close();
  }
}

await browser.close();
