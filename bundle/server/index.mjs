// A bridge: a host that only starts programs speaks MCP over stdio with this one, and this one over HTTP with a deployment of
// mcp-server-tidbcloud. It passes messages on as they are, in both eras of the protocol, and keeps nothing.
//
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
//
// No `import.meta.main` or the like: a host may load this file from a program of its own.

import { createInterface } from 'node:readline';

const VERSION = 'io.modelcontextprotocol/protocolVersion';
const LONGEST_WAIT_SECONDS = 30;
const SHUTDOWN_MILLIS = 2_000;
// Before a connection there was no request (libuv and OpenSSL name these); after it nobody knows.
const NEVER_SENT = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_|ERR_TLS|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/;

const settings = read(process.env);
const inFlight = new Map();
let session;
let negotiated;
let isClosing = false;

// What the host was told, or why that will not do. A host leaves the placeholder of a field that nobody filled in.
function read(environment) {
  const field = name => {
    const value = (environment[`TIDBCLOUD_MCP_${name}`] ?? '').trim();
    delete environment[`TIDBCLOUD_MCP_${name}`];
    return value.startsWith('${user_config.') ? '' : value;
  };
  const [address, publicKey, privateKey, accessKey] = ['URL', 'PUBLIC_KEY', 'PRIVATE_KEY', 'ACCESS_KEY'].map(field);
  const secrets = [privateKey, accessKey].filter(secret => secret !== '');
  const refuse = problem => ({ problem: `${problem} Change the extension's settings.`, secrets });

  let url;
  try {
    url = new URL(address);
  } catch {
    return refuse('The address of the server is missing, or is no address: it looks like https://mcp-server-tidbcloud.ACCOUNT.workers.dev/mcp.');
  }
  const isLoopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback)) {
    return refuse('The address must begin with https://. Keys go to no other server than one on this machine without it.');
  }
  if (url.username !== '' || url.password !== '') return refuse('The address must not contain a name or a password.');
  if (url.pathname === '/') url.pathname = '/mcp';
  url.hash = '';

  if ([publicKey, privateKey, accessKey].some(key => /[^\x21-\x7e]/.test(key))) {
    return refuse('A key contains a character that no key has. Copy it again.');
  }
  const hasPair = publicKey !== '' && privateKey !== '';
  if (hasPair === (accessKey !== '') || (publicKey === '') !== (privateKey === '')) {
    return refuse('Fill in the two keys of a TiDB Cloud API key, or the access key of a deployment with one owner; not both, and not half.');
  }
  const credentials = hasPair
    ? { 'x-tidb-api-public-key': publicKey, 'x-tidb-api-private-key': privateKey }
    : { authorization: `Bearer ${accessKey}` };
  return { url, credentials, secrets };
}

// Keys appear in no log and no answer, whatever an error quotes.
function redact(text) {
  return settings.secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text);
}

function say(text) {
  process.stderr.write(`${redact(text)}\n`);
}

// One message is one line (2026-07-28, stdio). Line breaks of JSON stand only between its tokens.
function toHost(text) {
  const line = text.replaceAll(/[\r\n]+/g, ' ').trim();
  if (line !== '') process.stdout.write(`${line}\n`);
}

const isRequest = message => typeof message?.method === 'string' && message.id !== undefined;
const isModern = message => typeof message?.params?._meta?.[VERSION] === 'string';

function fail(messages, message, code = -32000, data = undefined) {
  const error = { code, message: redact(message), ...(data !== undefined && { data }) };
  const requests = messages.filter(isRequest);
  for (const { id } of requests) toHost(JSON.stringify({ jsonrpc: '2.0', id, error }));
  if (requests.length === 0) say(message);
}

// Section "Value Encoding" of the transport.
function encoded(value) {
  const isPlain = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !/^=\?base64\?.*\?=$/i.test(value);
  return isPlain ? value : `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`;
}

function headersOf(message) {
  const headers = {
    ...settings.credentials,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'user-agent': 'mcp-server-tidbcloud-bridge',
  };
  if (isModern(message)) {
    headers['mcp-protocol-version'] = message.params._meta[VERSION];
    headers['mcp-method'] = encoded(String(message.method));
    const name = message.params.name ?? message.params.uri;
    if (typeof name === 'string') headers['mcp-name'] = encoded(name);
  } else if (message?.method !== 'initialize') {
    if (negotiated) headers['mcp-protocol-version'] = negotiated;
    if (session) headers['mcp-session-id'] = session;
  }
  return headers;
}

function post(body, headers, signal) {
  // A redirect would carry the keys to another server.
  return fetch(settings.url, { method: 'POST', headers, body, signal, redirect: 'manual' });
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1_000);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

// What was refused for being too much was not begun, so it is sent once more.
async function sent(body, headers, signal) {
  const response = await post(body, headers, signal);
  const wait = Number(response.headers.get('retry-after') ?? Number.NaN);
  if (response.status !== 429 || !(wait >= 0 && wait <= LONGEST_WAIT_SECONDS)) return response;
  await response.body?.cancel();
  say(`The server asks for ${wait} s of patience.`);
  await pause(wait, signal);
  return post(body, headers, signal);
}

// The data of each event (HTML, "Server-sent events").
async function* events(body) {
  const decoder = new TextDecoder();
  let rest = '';
  let data = [];
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    // A line may end in two characters, of which the second is still on its way.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) yield data.join('\n');
        data = [];
      } else if (line.startsWith('data:')) {
        data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
    }
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// Gives an answer to the host as it is, and notes what it says of the connection.
function deliver(text, request, waiting) {
  const answers = [parsed(text)].flat();
  for (const answer of answers.filter(answer => answer !== undefined && answer?.method === undefined)) {
    waiting.delete(JSON.stringify(answer?.id));
    if (request?.method === 'initialize') negotiated = answer?.result?.protocolVersion ?? negotiated;
  }
  toHost(text);
}

// A failure over HTTP: its own JSON-RPC error under the id of the request, or its status.
async function refused(response, messages) {
  const text = (await response.text()).slice(0, 65_536);
  const answer = parsed(text);
  if (messages.length === 1 && isRequest(messages[0]) && answer?.error && answer.id === messages[0].id) return toHost(text);
  const { status } = response;
  if (status >= 300 && status < 400) {
    const place = URL.canParse?.(response.headers.get('location') ?? '') ? new URL(response.headers.get('location')).origin : 'another place';
    return fail(messages, `The server redirects to ${place}. Keys are not sent there; if it is yours, put its address into the extension's settings.`);
  }
  const { error } = answer ?? {};
  if (typeof error?.code === 'number' && typeof error.message === 'string') return fail(messages, error.message, error.code, error.data);
  return fail(messages, `${settings.url.origin}${settings.url.pathname} answers with HTTP ${status}: is that the address of the server?`);
}

async function exchange(line, messages, signal) {
  const [first] = messages;
  const response = await sent(line, headersOf(first), signal);
  if (!response.ok) return refused(response, messages);
  if (first?.method === 'initialize') session = response.headers.get('mcp-session-id') ?? undefined;
  const waiting = new Map(messages.filter(isRequest).map(message => [JSON.stringify(message.id), message]));
  const type = (response.headers.get('content-type') ?? '').split(';')[0].trim().toLowerCase();
  if (type === 'text/event-stream') {
    for await (const data of events(response.body)) deliver(data, first, waiting);
  } else {
    const text = await response.text();
    if (waiting.size > 0 && type === 'application/json' && parsed(text) !== undefined) deliver(text, first, waiting);
    else if (waiting.size > 0) {
      return fail(messages, `${settings.url.origin}${settings.url.pathname} answers with no MCP: is that the address of the server?`);
    }
  }
  if (waiting.size > 0) fail([...waiting.values()], 'The answer broke off. Whether the call was carried out is unknown: look before you repeat it.');
}

async function fromHost(line) {
  const value = parsed(line);
  if (value === undefined) {
    return toHost(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32700, message: 'This line is not JSON.' } }));
  }
  const messages = [value].flat();
  const [first] = messages;
  if (settings.problem) return fail(messages, settings.problem);
  if (first?.method === 'notifications/cancelled') {
    const running = inFlight.get(JSON.stringify(first.params?.requestId));
    // Over HTTP the new era cancels a request by closing its answer; nothing is posted.
    if (running?.isModern) return running.controller.abort();
  }
  if (first?.method === 'initialize') [session, negotiated] = [];
  const controller = new AbortController();
  const keys = messages.filter(isRequest).map(message => JSON.stringify(message.id));
  for (const key of keys) inFlight.set(key, { controller, isModern: isModern(first) });
  try {
    await exchange(line, messages, controller.signal);
  } catch (error) {
    if (controller.signal.aborted) return undefined;
    const code = String(error?.cause?.code ?? error?.code ?? error?.cause?.message ?? error?.message ?? error);
    const outcome = NEVER_SENT.test(code) ? 'Nothing was sent.' : 'Whether the call was carried out is unknown: look before you repeat it.';
    return fail(messages, `${settings.url.origin} cannot be reached (${code}). ${outcome}`);
  } finally {
    for (const key of keys) if (inFlight.get(key)?.controller === controller) inFlight.delete(key);
  }
  return undefined;
}

// The host is done: what still runs is cancelled, as each era does it, and the session ends.
async function close() {
  if (isClosing) return;
  isClosing = true;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), SHUTDOWN_MILLIS);
  const cancelled = [...inFlight.entries()].filter(([, { isModern: modern }]) => !modern).map(([key]) => {
    const notification = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: JSON.parse(key), reason: 'the host has ended' } };
    return post(JSON.stringify(notification), headersOf(notification), controller.signal);
  });
  await Promise.allSettled(cancelled);
  if (session) {
    const headers = headersOf(undefined);
    await fetch(settings.url, { method: 'DELETE', headers, signal: controller.signal, redirect: 'manual' }).catch(() => {});
  }
  clearTimeout(timer);
  process.exit(0);
}

if (settings.problem) say(settings.problem);
process.stdout.on('error', close);
process.on('SIGTERM', close);
process.on('SIGINT', close);
const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
lines.on('line', line => {
  if (line.trim() !== '') fromHost(line).catch(error => say(`A message was lost: ${error?.message ?? error}`));
});
lines.on('close', close);
