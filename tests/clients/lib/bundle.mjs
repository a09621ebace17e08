// The MCP bundle as a host meets it: packed by `cargo xtask bundle`, unpacked, and started as its manifest says.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inflateRawSync } from 'node:zlib';

const root = fileURLToPath(new URL('../../..', import.meta.url));

// The files of a zip archive, by their names (APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16).
export function unzipped(archive) {
  const end = archive.lastIndexOf('PK\x05\x06', undefined, 'latin1');
  assert.ok(end >= 0, 'a zip archive has an end of its central directory');
  const files = new Map();
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    assert.equal(archive.toString('latin1', at, at + 4), 'PK\x01\x02');
    const [method, size] = [archive.readUInt16LE(at + 10), archive.readUInt32LE(at + 20)];
    const [name, extra, comment] = [28, 30, 32].map(offset => archive.readUInt16LE(at + offset));
    const local = archive.readUInt32LE(at + 42);
    const begin = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const content = archive.subarray(begin, begin + size);
    files.set(archive.toString('utf8', at + 46, at + 46 + name), method === 0 ? content : inflateRawSync(content));
    at += 46 + name + extra + comment;
  }
  return files;
}

// A bundle in a folder of its own, which `close` removes.
export class Bundle {
  static async make() {
    const folder = await mkdtemp(join(tmpdir(), 'bundle-'));
    const out = join(folder, 'out');
    const address = 'https://github.com/example/fork';
    // The program that runs this suite; started by hand, cargo finds it.
    const [program, ...words] = process.env.XTASK ? [process.env.XTASK] : ['cargo', 'xtask'];
    await promisify(execFile)(program, [...words, 'bundle', '--out', out, '--repository', address], { cwd: root });
    const [name] = (await readdir(out)).filter(file => file.endsWith('.mcpb'));
    const archive = await readFile(join(out, name));
    const files = unzipped(archive);
    const home = join(folder, 'unpacked');
    for (const [path, content] of files) {
      await mkdir(dirname(join(home, path)), { recursive: true });
      await writeFile(join(home, path), content);
    }
    const server = JSON.parse(await readFile(join(out, 'server.json'), 'utf8'));
    const hash = createHash('sha256').update(archive).digest('hex');
    return Object.assign(new Bundle(), { folder, home, name, files, server, hash, manifest: JSON.parse(files.get('manifest.json')) });
  }

  // What a host starts, with what its person has filled in. A field that nobody filled in stays as the manifest has it.
  start(filled) {
    const values = { __dirname: this.home };
    for (const [name, value] of Object.entries(filled)) values[`user_config.${name}`] = value;
    const put = text => text.replaceAll(/\$\{([^}]+)\}/g, (whole, name) => values[name] ?? whole);
    const { command, args, env } = this.manifest.server.mcp_config;
    const own = { PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}` };
    return { command, args: args.map(put), env: { ...own, ...Object.fromEntries(Object.entries(env).map(([name, value]) => [name, put(value)])) } };
  }

  // Starts it without an SDK: `send` writes a message, `next` reads one, `end` closes its input and gives all that it said.
  bridge(filled) {
    const { command, args, env } = this.start(filled);
    const child = spawn(command, args, { env, stdio: 'pipe' });
    const ended = once(child, 'close');
    const said = { out: '', err: '' };
    child.stdout.on('data', data => { said.out += data; });
    child.stderr.on('data', data => { said.err += data; });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return {
      child,
      said,
      send: message => child.stdin.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`),
      next: async () => {
        const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`no answer: ${said.err}`)), 20_000).unref());
        const { value } = await Promise.race([lines.next(), late]);
        return value === undefined ? undefined : JSON.parse(value);
      },
      end: async () => {
        child.stdin.end();
        const [status] = await ended;
        return { status, ...said };
      },
    };
  }

  async close() {
    await rm(this.folder, { recursive: true, force: true });
  }
}

// A server of a test's own: `answer(request, response, body)`; `met` has what it was sent.
export async function withServer(answer, body) {
  const met = [];
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    met.push({ method: request.method, headers: request.headers, url: request.url, text });
    await answer(request, response, text);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await body(`http://127.0.0.1:${server.address().port}`, met);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
