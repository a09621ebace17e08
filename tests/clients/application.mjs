// The programs of `tidbcloud_get_connection`, run as they are answered by the clients that they are for.
//
// env SANDBOX_MYSQL_PORT, SANDBOX_MYSQL_CA  where the sandbox takes MySQL clients, and the CA of its certificate
//     SQL_CLIENT_DIR                        a directory with `mysql`, if the system has none

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { api } from './lib/control-plane.mjs';
import { advance, content, headers, test, url } from './lib/flow.mjs';

const { SANDBOX_MYSQL_PORT: port, SANDBOX_MYSQL_CA: authority, SQL_CLIENT_DIR: clientDirectory, CARGO = 'cargo' } = process.env;
const root = fileURLToPath(new URL('../../', import.meta.url));
const snippets = join(root, 'target/snippets');
const loopback = new URL('lib/loopback.mjs', import.meta.url).href;
const password = 'Canary:app@1/#?';

// Somebody else's CA.
const stranger = join(snippets, 'stranger.pem');
await mkdir(snippets, { recursive: true });
await writeFile(stranger, rootCertificates[0]);

// Runs a program; what it prints, and how it ends.
async function run(program, words, directory, environment) {
  const child = spawn(program, words, { cwd: directory, env: { ...process.env, ...environment } });
  let [printed, complained] = ['', ''];
  child.stdout.on('data', data => (printed += data));
  child.stderr.on('data', data => (complained += data));
  const status = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  return { status, printed, complained };
}

// How each client finds its CAs, where it connects to, and how its program is run: `start(snippet, directory)` answers with a
// program and its words.
const byNode = {
  // The host is the answered one: Node's programs can be told where it is.
  host: host => host,
  trust: file => ({ NODE_EXTRA_CA_CERTS: file }),
  start: async ({ file }) => [process.execPath, ['--import', loopback, file]],
};
const byOpenSsl = { host: () => '127.0.0.1', trust: file => ({ SSL_CERT_FILE: file }) };

const clients = {
  'mysql-cli': {
    ...byOpenSsl,
    start: async ({ file }) => ['sh', [file]],
  },
  'node-mysql2': byNode,
  drizzle: byNode,
  // Its TLS is that of `fetch`, and there is none to the sandbox.
  'serverless-js': { ...byNode, trust: undefined },
  rust: {
    ...byOpenSsl,
    start: async ({ install }, directory) => {
      const lock = await readFile(join(root, 'Cargo.lock'), 'utf8');
      const [, version] = lock.match(/name = "mysql"\nversion = "(.*)"/);
      const [, features] = install.match(/--no-default-features --features (\S+)/);
      const dependency = { version: `=${version}`, features: features.split(',') };
      await writeFile(join(directory, 'Cargo.lock'), lock);
      await writeFile(
        join(directory, 'Cargo.toml'),
        '[workspace]\n[package]\nname = "connect"\nedition = "2024"\n[dependencies.mysql]\ndefault-features = false\n' +
          Object.entries(dependency).map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`).join(''),
      );
      const built = await run(CARGO, ['build', '--quiet'], directory, { CARGO_TARGET_DIR: join(snippets, 'target') });
      assert.equal(built.status, 0, `its program does not compile: ${built.complained}`);
      return [join(snippets, 'target/debug/connect'), []];
    },
  },
};

const client = new Client({ name: 'application', version: '0' });
await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers: headers() } }));
const call = async (tool, args) => content(await client.callTool({ name: tool, arguments: args }));

const shop = await call('tidbcloud_get_cluster', { cluster: 'shop' });
const name = `app${Date.now() % 1e6}`;
await api('POST', `https://iam.tidbapi.com/v1beta1/clusters/${shop.clusterId}/sqlUsers`, {
  userName: name,
  autoPrefix: true,
  builtinRole: 'role_readonly',
  authMethod: 'mysql_native_password',
  password,
});
// A new user takes a moment to work.
await advance(30);

for (const [kind, { host, trust, start }] of Object.entries(clients)) {
  const answer = await call('tidbcloud_get_connection', { cluster: 'shop', client: kind, database: 'shop' });
  const { snippet } = answer;

  // What the person does: their user in place of YOUR_USER. And what the sandbox needs: its own port, and maybe its own host.
  const written = async (directory, at = host(answer.host)) => {
    const text = snippet.text
      .replaceAll('YOUR_USER', name)
      .replaceAll(answer.host, at)
      .replaceAll(String(answer.port), port);
    const file = join(directory, snippet.file);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    return start(snippet, directory);
  };
  const environment = trusted => ({
    TIDB_PASSWORD: password,
    PATH: [clientDirectory, process.env.PATH].join(delimiter),
    ...trust?.(trusted),
  });
  const directory = join(snippets, kind);
  const attempt = async (trusted, at) => run(...(await written(directory, at)), directory, environment(trusted));

  await test(`${kind}: its program connects, and prints the version`, async () => {
    const { status, printed, complained } = await attempt(authority);
    assert.equal(status, 0, `it ends with an error: ${complained}`);
    assert.match(printed, /TiDB/, `it prints the version of the database, not: ${printed}`);
  });

  if (trust === undefined) continue;

  await test(`${kind}: its program refuses a certificate by a CA that it does not trust`, async () => {
    const { status, printed, complained } = await attempt(stranger);
    assert.notEqual(status, 0, `it trusts anybody, and prints ${printed}`);
    assert.match(complained, /certificate|UnknownIssuer/i, `the certificate is the reason, not: ${complained}`);
  });

  if (host('') === '') {
    await test(`${kind}: its program refuses a certificate for another host`, async () => {
      const { status, printed, complained } = await attempt(authority, 'gateway01.somebody-else.tidbcloud.com');
      assert.notEqual(status, 0, `it takes any host's certificate, and prints ${printed}`);
      assert.match(complained, /altnames/, `the host's name is the reason, not: ${complained}`);
    });
  }
}

await client.close();
