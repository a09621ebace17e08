// The page that says what works, in a real browser: light and dark, on a phone and on a desktop, while TiDB Cloud works and while it
// does not.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { complaintsOf, launch, origin, ownAddress, profile } from '../clients/lib/browser.mjs';
import { test } from '../clients/lib/flow.mjs';
import { accessible, fits, sizes } from './lib/look.mjs';

const { SANDBOX_URL, SCREENSHOTS_DIR, XTASK } = process.env;
const checks = ['Settings', 'Limits', 'Connections', 'Circuit breakers', 'TiDB Cloud'];

// What requests without credentials meet from here on.
async function faults(list) {
  const answer = await fetch(`${SANDBOX_URL}/_sandbox/faults`, {
    method: list.length ? 'POST' : 'DELETE',
    headers: { 'content-type': 'application/json' },
    ...(list.length && { body: JSON.stringify({ faults: list }) }),
  });
  assert.ok(answer.ok, await answer.text());
}

// A verdict is believed for up to 20 seconds.
async function until(status) {
  for (let tries = 0; tries < 60; tries += 1) {
    const answer = await fetch(`${origin}/readyz`, { headers: { 'CF-Connecting-IP': ownAddress() } });
    if (answer.status === status) return;
    await pause(500);
  }
  assert.fail(`/readyz does not become ${status}`);
}

await mkdir(SCREENSHOTS_DIR, { recursive: true });
const browser = await launch();

// Looks at the page on every screen.
async function look(name, status, states) {
  for (const [size, device] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      await test(`${name} ${size} ${colorScheme}: says what works, fits and is accessible`, async () => {
        const context = await profile(browser, { ...device, colorScheme });
        const tab = await context.newPage();
        const complaints = complaintsOf(tab);
        const answer = await tab.goto(`${origin}/health`, { waitUntil: 'networkidle' });
        assert.equal(answer.status(), status, 'the page has the status of /readyz');
        await tab.screenshot({ path: join(SCREENSHOTS_DIR, `${name}-${size}-${colorScheme}.png`), fullPage: true });
        // The browser complains about the status itself.
        const others = complaints.filter(complaint => status === 200 || !complaint.includes(String(status)));
        assert.deepEqual(others, [], `nothing on the page is blocked or missing: ${others}`);
        const shown = await tab.locator('section h2').allInnerTexts();
        const expected = checks.map(check => `${check} ${states[check] ?? 'Works'}`);
        assert.deepEqual(shown.map(text => text.replaceAll(/\s+/g, ' ')), expected, 'each check has its state in a word');
        const advised = await tab.locator('section.warning').count();
        assert.equal(advised, Object.keys(states).length, 'what does not work, and nothing else, stands out');
        assert.equal(await tab.locator('script, form').count(), 0, 'nothing runs on the page and nothing is sent from it');
        await fits(tab);
        await accessible(tab);
        await fits(tab);
        await context.close();
      });
    }
  }
}

await faults([]);
await test('health: everything works', () => until(200));
await look('health', 200, {});
await faults([{ match: { path: '/v1beta1/regions', times: 10_000, challenge: true }, do: 'status', status: 503, body: {} }]);
await test('health: TiDB Cloud fails', () => until(503));
await look('health-failing', 503, { 'TiDB Cloud': 'Fails' });
await faults([]);
await test('health: everything works again', () => until(200));

// A Worker of its own, with settings that are wrong.
async function withWrongSettings(work) {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address();
  free.close();
  await once(free, 'close');
  const state = await mkdtemp(join(tmpdir(), 'wrong-settings-'));
  const vars = 'RATE_LIMIT_PER_MINUTE = true\nLOG_PERCENT = "x"\nTIDB_CLOUD_PUBLIC_KEY = "SBXOWNER"';
  const flags = ['worker', '--port', port, '--sandbox', SANDBOX_URL, '--persist', state, '--vars', vars];
  // It ends when its input does.
  const worker = spawn(XTASK, flags.map(String), { stdio: ['pipe', 'ignore', 'inherit'] });
  const ended = once(worker, 'exit');
  try {
    const address = `http://127.0.0.1:${port}`;
    for (let tries = 0; ; tries += 1) {
      const answer = await fetch(`${address}/livez`).catch(() => undefined);
      if (answer) break;
      assert.ok(tries < 180 && worker.exitCode === null, 'the Worker does not answer within 90 s');
      await pause(500);
    }
    await work(address);
  } finally {
    worker.stdin.end();
    await ended;
    await rm(state, { recursive: true, force: true });
  }
}

await withWrongSettings(async address => {
  for (const [size, device] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      await test(`wrong-settings ${size} ${colorScheme}: names what is wrong, fits and is accessible`, async () => {
        const context = await profile(browser, { ...device, colorScheme });
        const tab = await context.newPage();
        const answer = await tab.goto(`${address}/health`, { waitUntil: 'networkidle' });
        assert.equal(answer.status(), 503);
        await tab.screenshot({ path: join(SCREENSHOTS_DIR, `wrong-settings-${size}-${colorScheme}.png`), fullPage: true });
        const text = await tab.locator('main').innerText();
        for (const setting of ['RATE_LIMIT_PER_MINUTE', 'LOG_PERCENT', 'TIDB_CLOUD_PRIVATE_KEY']) assert.ok(text.includes(setting), text);
        assert.equal(await tab.locator('script, form').count(), 0);
        await fits(tab);
        await accessible(tab);
        await context.close();
      });
    }
  }
});

await browser.close();
