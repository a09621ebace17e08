// The MCP bundle: its bridge in front of the Worker, in both eras and with the official clients, and in front of servers that fail.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { Client as Modern } from '@modelcontextprotocol/client';
import { StdioClientTransport as ModernStdio } from '@modelcontextprotocol/client/stdio';
import { Client as Legacy } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as LegacyStdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { Bundle, withServer } from './lib/bundle.mjs';
import { isThere, withClusters } from './lib/clusters.mjs';
import { content, exercise, headers, test, url } from './lib/flow.mjs';
import { owner } from './lib/person.mjs';

const MODERN = '2026-07-28';
const keys = { public_key: owner.publicKey, private_key: owner.privateKey };
const canary = { public_key: 'CANARY', private_key: 'canary-0f3c9a51-never-said' };
const bundle = await Bundle.make();

const initialize = (id = 1) => ({
  jsonrpc: '2.0',
  id,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'host', version: '0' } },
});
const modern = (id, method, params = {}) => ({
  jsonrpc: '2.0',
  id,
  method,
  params: { ...params, _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} } },
});
// Waits for what comes within ten seconds.
async function until(comes) {
  for (let tries = 0; !comes(); tries += 1) {
    assert.ok(tries < 500, `it does not come: ${comes}`);
    await pause(20);
  }
}

const json = (response, status, value, more = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...more }).end(JSON.stringify(value));
const result = (text, value = {}) => ({ jsonrpc: '2.0', id: JSON.parse(text).id, result: value });

// A client of an SDK behind the bridge. `answer()` is the person at its form, if it has one.
async function connected(era, answer) {
  const [Client, Stdio] = era === 'legacy' ? [Legacy, LegacyStdio] : [Modern, ModernStdio];
  const capabilities = answer ? { elicitation: {} } : {};
  const client = new Client({ name: 'desktop', version: '0' }, { capabilities, ...(era !== 'legacy' && { versionNegotiation: { mode: 'auto' } }) });
  if (answer) {
    client.setRequestHandler(era === 'legacy' ? ElicitRequestSchema : 'elicitation/create', async () => answer());
  }
  const transport = new Stdio({ ...bundle.start({ url: url.href, ...keys }), stderr: 'pipe' });
  let said = '';
  transport.stderr.on('data', data => { said += data; });
  try {
    await client.connect(transport);
  } catch (error) {
    throw new Error(`${error.message}; the bridge said: ${said}`);
  }
  return { client, said: () => said };
}

await test('bundle: holds what its manifest names, and its hash is in server.json', () => {
  const { files, manifest, server, hash, name } = bundle;
  assert.deepEqual([...files.keys()].sort(), ['LICENSE', 'icon.png', 'manifest.json', 'server/index.mjs']);
  assert.equal(name, `mcp-server-tidbcloud-${manifest.version}.mcpb`);
  const [{ identifier, fileSha256 }] = server.packages;
  assert.equal(identifier, `https://github.com/example/fork/releases/download/v${manifest.version}/${name}`);
  assert.equal(fileSha256, hash);
  assert.equal(server.name, 'io.github.example/mcp-server-tidbcloud');
});

const http = new Legacy({ name: 'http', version: '0' });
await http.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers: headers() } }));
const { tools: overHttp } = await http.listTools();
await http.close();

for (const era of ['legacy', 'modern']) {
  const label = `bundle ${era}`;
  const behind = await test(`${label}: connects`, async () => {
    const one = await connected(era);
    if (era === 'modern') assert.equal(one.client.getNegotiatedProtocolVersion(), MODERN);
    assert.ok(one.client.getServerCapabilities().tools);
    return one;
  });
  if (!behind) continue;
  const { client, said } = behind;
  await test(`${label}: lists what the server lists`, async () => {
    const { tools } = await client.listTools();
    assert.deepEqual(tools, overHttp);
  });
  // Of one era: TiDB Cloud takes 100 requests a minute for a key.
  if (era === 'modern') {
    await exercise(label, {
      list: async () => (await client.listTools()).tools,
      call: (name, args) => client.callTool({ name, arguments: args }),
    });
  } else {
    await test(`${label}: queries the sample`, async () => {
      const sql = 'SELECT COUNT(*) FROM customers';
      const { rows } = content(await client.callTool({ name: 'db_query', arguments: { cluster: 'shop', database: 'shop', sql } }));
      assert.equal(rows.length, 1);
    });
  }
  await test(`${label}: has nothing to complain about`, () => assert.equal(said(), ''));
  await client.close();

  await test(`${label}: passes the form on, and the answer back`, async () => {
    await withClusters(label, 1, async cluster => {
      let asked = 0;
      const { client: asking } = await connected(era, () => {
        asked += 1;
        return { action: 'accept', content: { name: cluster } };
      });
      const deleted = await asking.callTool({ name: 'tidbcloud_delete_cluster', arguments: { cluster } });
      assert.equal(content(deleted).status, 'DELETING');
      assert.equal(asked, 1, 'a person is asked once');
      assert.equal(await isThere(cluster), false, 'what was allowed is done');
      await asking.close();
    });
  });
}

await test('bundle legacy: deletes nothing where the host ends before anybody answers', async () => {
  await withClusters('bundle', 1, async cluster => {
    const host = bundle.bridge({ url: url.href, ...keys });
    const begin = initialize();
    begin.params.capabilities = { elicitation: {} };
    host.send(begin);
    await host.next();
    host.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    host.send({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'tidbcloud_delete_cluster', arguments: { cluster } } });
    assert.equal((await host.next()).method, 'elicitation/create');
    const { status } = await host.end();
    assert.equal(status, 0);
    assert.ok(await isThere(cluster), 'nobody has answered');
  });
});

await test('bundle: keys that do not belong to the server are refused in its words', async () => {
  const host = bundle.bridge({ url: url.href, access_key: canary.private_key });
  host.send(initialize());
  const { id, error } = await host.next();
  assert.equal(id, 1);
  assert.match(error.message, /token|key/i);
  const { out, err } = await host.end();
  assert.doesNotMatch(out + err, /never-said/);
});

await test('bundle: the address alone is enough, and what narrows it stays', async () => {
  await withServer((request, response, text) => json(response, 200, result(text)), async (origin, met) => {
    for (const [address, path] of [[origin, '/mcp'], [`${origin}/mcp?readonly=true`, '/mcp?readonly=true']]) {
      const host = bundle.bridge({ url: address, ...keys });
      host.send(initialize());
      await host.next();
      await host.end();
      assert.equal(met.at(-1).url, path);
    }
  });
});

for (const [what, filled, told] of [
  ['no address', { ...canary }, /address of the server is missing/],
  ['an address without https', { url: 'http://192.0.2.1/mcp', ...canary }, /https/],
  ['an address that only looks like this machine', { url: 'http://127.0.0.1.example.com/mcp', ...canary }, /https/],
  ['a name in the address', { url: 'https://a:b@192.0.2.1/mcp', ...canary }, /name or a password/],
  ['no keys', { url: url.href }, /Fill in/],
  ['half a pair', { url: url.href, private_key: canary.private_key }, /half/],
  ['both kinds of keys', { url: url.href, ...canary, access_key: canary.private_key }, /not both/],
  ['a key with a line break', { url: url.href, ...canary, public_key: 'a\nb' }, /Copy it again/],
]) {
  await test(`bundle: ${what} is said in the answer, and nothing is sent`, async () => {
    const host = bundle.bridge(filled);
    host.send(initialize(7));
    const { id, error } = await host.next();
    assert.equal(id, 7);
    assert.match(error.message, told);
    assert.match(error.message, /extension's settings/);
    const { status, out, err } = await host.end();
    assert.equal(status, 0);
    assert.doesNotMatch(out + err, /never-said/);
  });
}

await test('bundle: a server that is down is named, and that nothing was sent', async () => {
  const origin = await withServer(() => {}, async address => address);
  const host = bundle.bridge({ url: origin, ...canary });
  host.send(initialize());
  const { error } = await host.next();
  assert.match(error.message, /cannot be reached \(ECONNREFUSED\)\. Nothing was sent/);
  const { out, err } = await host.end();
  assert.doesNotMatch(out + err, /never-said/);
});

await test('bundle: sends each kind of credential, and follows no redirect with it', async () => {
  await withServer((request, response, text) => json(response, 200, result(text)), async (elsewhere, strayed) => {
    const redirect = (request, response) => response.writeHead(307, { location: `${elsewhere}/mcp` }).end();
    await withServer(redirect, async (origin, met) => {
      for (const [filled, expected] of [
        [canary, { 'x-tidb-api-public-key': 'CANARY', 'x-tidb-api-private-key': canary.private_key, authorization: undefined }],
        [{ access_key: canary.private_key }, { authorization: `Bearer ${canary.private_key}`, 'x-tidb-api-private-key': undefined }],
      ]) {
        const host = bundle.bridge({ url: origin, ...filled });
        host.send(initialize());
        const { error } = await host.next();
        assert.match(error.message, /redirects to http:\/\/127\.0\.0\.1/);
        for (const [name, value] of Object.entries(expected)) assert.equal(met.at(-1).headers[name], value);
        const { out, err } = await host.end();
        assert.doesNotMatch(out + err, /never-said/);
      }
      assert.equal(strayed.length, 0, 'keys went to another server');
    });
  });
});

await test('bundle: a server that repeats a key cannot make the bridge log it', async () => {
  const echo = (request, response) => {
    response.writeHead(500, { 'content-type': 'text/plain' }).end(request.headers['x-tidb-api-private-key']);
  };
  const quote = (request, response, text) => json(response, 400, { ...result(text), id: null, result: undefined, error: { code: -1, message: `bad ${request.headers['x-tidb-api-private-key']}` } });
  for (const answer of [echo, quote]) {
    await withServer(answer, async origin => {
      const host = bundle.bridge({ url: origin, ...canary });
      host.send(initialize());
      await host.next();
      host.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
      await pause(300);
      const { out, err } = await host.end();
      assert.ok(out !== '' && err !== '', 'both an answer and a log');
      assert.doesNotMatch(out + err, /never-said/);
    });
  }
});

await test('bundle: waits once where it is asked to, and passes on a second refusal', async () => {
  for (const [retry, refusals, sent] of [['1', 1, 2], ['1', 9, 2], ['900', 9, 1]]) {
    let times = 0;
    const answer = (request, response, text) => {
      times += 1;
      if (times > refusals) return json(response, 200, result(text, { done: true }));
      return json(response, 429, { jsonrpc: '2.0', id: null, error: { code: -32029, message: 'Too many calls.' } }, { 'retry-after': retry });
    };
    await withServer(answer, async origin => {
      const host = bundle.bridge({ url: origin, ...keys });
      const begun = Date.now();
      host.send(initialize());
      const { result: given, error } = await host.next();
      assert.equal(times, sent);
      if (refusals === 1) assert.equal(given.done, true);
      else assert.deepEqual(error, { code: -32029, message: 'Too many calls.' });
      if (sent === 2) assert.ok(Date.now() - begun >= 1_000, 'it waits as long as it is asked to');
      await host.end();
    });
  }
});

await test('bundle: passes messages on as they are, whatever ends their lines', async () => {
  const big = '{"jsonrpc":"2.0","id":1,"result":{"n":12345678901234567890123,"t":"a\\nb"}}';
  const answer = async (request, response, text) => {
    if (text.includes('"one"')) return response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(big.replaceAll(',', ',\r\n  '));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    // In pieces that part a line ending and a letter, with each ending that there is, a comment, an event without data, and one of two lines.
    const [head, tail] = [Buffer.from('\ndata: "params":{"t":"ü'), Buffer.from('"}}\r\rdata: ')];
    const pieces = [': hello\r\n\r\nid: 1\ndata:\n\n', 'data: {"jsonrpc":"2.0","method":"notifications/progress",\r', head.subarray(0, -1), Buffer.concat([head.subarray(-1), tail]), `${big.replace('"id":1', '"id":2')}\n`, '\n'];
    for (const piece of pieces) {
      response.write(piece);
      await pause(50);
    }
    return response.end();
  };
  await withServer(answer, async (origin, met) => {
    const host = bundle.bridge({ url: origin, ...keys });
    const call = '{"jsonrpc":"2.0", "id":1, "method":"one", "params":{"n":98765432109876543210}}';
    host.send(call);
    await host.next();
    host.send({ jsonrpc: '2.0', id: 2, method: 'two' });
    await host.next();
    await host.next();
    const { out } = await host.end();
    const [first, progress, second, nothing] = out.split('\n');
    assert.equal(met[0].text, call, 'a number that JavaScript cannot hold arrives');
    assert.match(first, /"n":12345678901234567890123,\s+"t":"a\\nb"/);
    assert.equal(JSON.parse(progress).params.t, 'ü');
    assert.equal(second, big.replace('"id":1', '"id":2'));
    assert.equal(nothing, '');
  });
});

await test('bundle: an answer that breaks off, or is no MCP, is an error of its call', async () => {
  const broken = (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n');
    response.end();
  };
  const torn = (request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
    response.write('{"jsonrpc"', () => response.destroy());
  };
  const page = (request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
  for (const [answer, told] of [[broken, /broke off.*unknown/], [torn, /unknown: look before/], [page, /no MCP/]]) {
    await withServer(answer, async origin => {
      const host = bundle.bridge({ url: origin, ...keys });
      host.send(initialize(3));
      let last = await host.next();
      if (last.method) last = await host.next();
      assert.equal(last.id, 3);
      assert.match(last.error.message, told);
      await host.end();
    });
  }
});

await test('bundle modern: a call has its headers, and a cancelled one closes its answer', async () => {
  let closed = 0;
  const answer = (request, response, text) => {
    if (!text.includes('tools/call')) return json(response, 200, result(text));
    response.on('close', () => { closed += 1; });
    return response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  };
  await withServer(answer, async (origin, met) => {
    const host = bundle.bridge({ url: origin, ...keys });
    host.send(modern('a', 'tools/call', { name: 'naïve' }));
    host.send(modern('b', 'tools/call', { name: 'plain' }));
    await until(() => met.length === 2);
    const named = met.map(({ headers: fields }) => fields['mcp-name']).sort();
    assert.deepEqual(named, [`=?base64?${Buffer.from('naïve').toString('base64')}?=`, 'plain']);
    for (const { headers: fields } of met) {
      assert.deepEqual([fields['mcp-protocol-version'], fields['mcp-method'], fields['mcp-session-id']], [MODERN, 'tools/call', undefined]);
    }
    host.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'a' } });
    await until(() => closed === 1);
    host.send(modern('c', 'server/discover'));
    assert.equal((await host.next()).id, 'c', 'a call that was cancelled is not answered');
    assert.equal(closed, 1, 'one call was cancelled');
    assert.equal(met.length, 3, 'over HTTP this era posts no cancellation');
    await host.end();
    await until(() => closed === 2);
    assert.equal(closed, 2, 'what still ran ends with the host');
  });
});

await test('bundle legacy: version and session go with what follows, and both end with the host', async () => {
  const answer = (request, response, text) => {
    if (request.method === 'DELETE') return response.writeHead(204).end();
    const { method, id } = JSON.parse(text);
    if (id === undefined) return response.writeHead(202).end();
    if (method === 'tools/call') return response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    return json(response, 200, result(text, { protocolVersion: '2025-06-18' }), { 'mcp-session-id': 'of-one-host' });
  };
  await withServer(answer, async (origin, met) => {
    const host = bundle.bridge({ url: origin, ...keys });
    host.send(initialize());
    await host.next();
    host.send({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: {} });
    await until(() => met.length === 2);
    await host.end();
    assert.deepEqual(met.map(({ method }) => method), ['POST', 'POST', 'POST', 'DELETE']);
    assert.deepEqual([met[0].headers['mcp-protocol-version'], met[0].headers['mcp-session-id']], [undefined, undefined]);
    for (const { headers: fields } of met.slice(1)) {
      assert.deepEqual([fields['mcp-protocol-version'], fields['mcp-session-id']], ['2025-06-18', 'of-one-host']);
    }
    const { method, params } = JSON.parse(met[2].text);
    assert.deepEqual([method, params.requestId], ['notifications/cancelled', 2]);
  });
});

await test('bundle: a line that is not JSON is answered, and the next one is served', async () => {
  await withServer((request, response, text) => json(response, 200, result(text)), async origin => {
    const host = bundle.bridge({ url: origin, ...keys });
    host.send('{"jsonrpc":');
    assert.equal((await host.next()).error.code, -32700);
    host.send(initialize(4));
    assert.equal((await host.next()).id, 4);
    await host.end();
  });
});

await bundle.close();
// A test that failed may have left a bridge behind, which ends with its input.
process.exit(process.exitCode ?? 0);
