// The inspector's command line, as a person types it, in each era.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { exercise, headers, test, url } from './lib/flow.mjs';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../../node_modules/.bin/mcp-inspector', import.meta.url));
// Its settings stay out of the home directory.
const home = await mkdtemp(join(tmpdir(), 'inspector-'));

for (const era of ['legacy', 'auto', 'modern']) {
  const label = `inspector 2.12 ${era}`;
  const fields = Object.entries(headers()).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
  const inspect = async (...args) => {
    const fixed = ['--cli', url.href, '--transport', 'http', '--protocol-era', era, '--stored-auth-only', '--format', 'json'];
    try {
      const { stdout } = await run(program, [...fixed, ...fields, ...args], {
        env: { ...process.env, HOME: home },
        timeout: 60_000,
      });
      return JSON.parse(stdout);
    } catch (error) {
      // A result with `isError` is printed as well, and told by the exit status.
      const printed = error.stdout?.trim();
      if (printed) return JSON.parse(printed);
      throw new Error(`${error.message} ${error.stderr ?? ''}`);
    }
  };

  await test(`${label}: finds no fault with the tool schemas`, async () => {
    const fixed = ['--cli', url.href, '--transport', 'http', '--protocol-era', era, '--stored-auth-only', '--strict'];
    // Exit status 6 reports a schema that is not portable; `run` rejects every status but 0.
    const { stderr } = await run(program, [...fixed, ...fields, '--method', 'tools/list'], {
      env: { ...process.env, HOME: home },
      timeout: 60_000,
    });
    assert.doesNotMatch(stderr, /error|warning/i, stderr);
  });

  await exercise(label, {
    list: async () => {
      const answer = await inspect('--method', 'tools/list');
      return (answer.result ?? answer).tools;
    },
    call: async (name, args) => {
      const answer = await inspect('--method', 'tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(args));
      return answer.result ?? answer;
    },
  });
}

await rm(home, { recursive: true });
