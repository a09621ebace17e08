// A person for programs that are no scripts: `node approve.mjs ADDRESS` approves what an authorization request asks for, and
// prints what came of it as one line of JSON.

import { approve, launch } from './browser.mjs';

const browser = await launch();
try {
  const { clicks, typed, target, status } = await approve(browser, process.argv[2]);
  console.log(JSON.stringify({ clicks, typed, target, status }));
} finally {
  await browser.close();
}
