// Stands in for the system's browser: programs that open an address by themselves find this one, and it notes what they open.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

export class Opener {
  static async make() {
    const home = await mkdtemp(join(tmpdir(), 'opener-'));
    const program = '#!/bin/sh\nprintf \'%s\\n\' "$1" >> "$OPENED"\n';
    // What the package `open` starts: on Linux its own xdg-open, which asks BROWSER, or the system's; on macOS `open`.
    for (const name of ['browser', 'xdg-open', 'open']) {
      await writeFile(join(home, name), program);
      await chmod(join(home, name), 0o755);
    }
    const opened = join(home, 'opened');
    await writeFile(opened, '');
    return new Opener(home, opened);
  }

  constructor(home, opened) {
    this.home = home;
    this.opened = opened;
    this.taken = 0;
  }

  // For a program that shall meet no desktop, and leave nothing in the home directory.
  get environment() {
    return {
      PATH: `${this.home}${delimiter}${process.env.PATH}`,
      HOME: this.home,
      TMPDIR: tmpdir(),
      BROWSER: join(this.home, 'browser'),
      OPENED: this.opened,
    };
  }

  async all() {
    return (await readFile(this.opened, 'utf8')).split('\n').filter(line => line !== '');
  }

  // The next address that is opened.
  async next(seconds = 30) {
    for (let tries = 0; tries < seconds * 20; tries += 1) {
      const all = await this.all();
      if (all.length > this.taken) return all[this.taken++];
      await pause(50);
    }
    return assert.fail(`nothing was opened within ${seconds} s`);
  }

  async close() {
    await rm(this.home, { recursive: true, force: true });
  }
}

// A port for a client to listen on.
export async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}
