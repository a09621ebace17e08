// How a page looks to people with low vision or a small screen.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

// The screens that pages with forms are tried on.
export const sizes = {
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  desktop: { viewport: { width: 1280, height: 900 } },
};

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Fails with what axe finds: text has contrast AAA (WCAG 2.2, 1.4.6), on every page.
export async function accessible(tab) {
  // Folded panels are content as well. The policy of the page keeps scripts out, so axe runs in a world of its own.
  await tab.evaluate(() => document.querySelectorAll('details').forEach(panel => { panel.open = true; }));
  const session = await tab.context().newCDPSession(tab);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
  await session.send('Runtime.evaluate', { expression: axe, contextId });
  const { result } = await session.send('Runtime.evaluate', {
    expression: 'axe.run({ rules: { "color-contrast-enhanced": { enabled: true } } }).then(({ violations }) => JSON.stringify(violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.target)}`)))',
    contextId,
    awaitPromise: true,
    returnByValue: true,
  });
  assert.deepEqual(JSON.parse(result.value), []);
}

// Fails where a page scrolls sideways.
export async function fits(tab) {
  const [content, window] = await tab.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(content <= window, `${content} px of content in a window of ${window} px`);
}

// Goes to an element with the Tab key, as somebody without a pointer does.
export async function tabTo(tab, selector) {
  for (let presses = 0; presses < 80; presses += 1) {
    if (await tab.evaluate(wanted => document.activeElement?.matches(wanted), selector)) return;
    await tab.keyboard.press('Tab');
  }
  assert.fail(`the Tab key does not get to ${selector}`);
}
