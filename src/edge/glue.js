// What would otherwise be dozens of calls between wasm and JavaScript for each request, in one call each way.
// Fields are separated by NUL, which no header and no URL holds.

/** Method, URL, and all header names and values. */
export function describe(request) {
  let text = `${request.method}\0${request.url}`;
  for (const [name, value] of request.headers) text += `\0${name}\0${value}`;
  return text;
}

/** Status, and all header names and values. */
export function describeResponse(response) {
  let text = String(response.status);
  for (const [name, value] of response.headers) text += `\0${name}\0${value}`;
  return text;
}

/** A response with these headers; `body` is undefined for none. */
export function respond(status, headers, body) {
  const fields = headers.split('\0');
  const list = new Headers();
  for (let index = 0; index + 1 < fields.length; index += 2) list.append(fields[index], fields[index + 1]);
  return new Response(body, { status, headers: list });
}

/** Text that becomes a body while it is sent. Nobody hears of a client that is gone: what it asked for ends in time. */
export class Pipe {
  #encoder = new TextEncoder();
  #writer;

  constructor() {
    const { readable, writable } = new TransformStream();
    this.body = readable;
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => {});
  }

  send(text) {
    this.#writer.write(this.#encoder.encode(text)).catch(() => {});
  }

  close() {
    this.#writer.close().catch(() => {});
  }
}

/** The client of a request. `left` resolves once it has gone away, or the request has ended: who waits is let go. */
export class Client {
  #context;
  #leave;
  #release;

  constructor(request, context) {
    this.#context = context;
    const { signal } = request;
    this.left = new Promise(resolve => {
      this.#leave = resolve;
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', resolve, { once: true });
    });
  }

  /** The request is kept alive without its client, until `release`. */
  hold() {
    if (this.#release === undefined) this.#context.waitUntil(new Promise(resolve => (this.#release = resolve)));
  }

  release() {
    this.#release?.();
    this.#release = undefined;
  }

  end() {
    this.release();
    this.#leave();
  }
}

/** The same promise, or a rejection after `millis`. */
async function within(millis, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('not in time')), millis);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a Durable Object answers to a GET of `url` (with a body: a POST), as text; rejects after `millis`. */
export function ask(namespace, name, url, body, millis) {
  const init = body === undefined ? {} : { method: 'POST', body };
  return within(millis, namespace.getByName(name).fetch(url, init).then(answer => answer.text()));
}

/** The whole body of a request, null where it breaks off; rejects after `millis`. */
export function wholeBody(request, millis) {
  return within(millis, request.arrayBuffer().catch(() => null));
}

/** A body, 64 KiB at a time: without a buffer of its own a reader gets 4 KiB, and each of them costs a turn of the event loop. */
export class Pieces {
  #reader;
  #buffer = new Uint8Array(65536);

  constructor(message) {
    this.#reader = message.body?.getReader({ mode: 'byob' });
  }

  /** The next piece, which holds until the one after it; undefined at the end. */
  async next() {
    if (this.#reader === undefined) return undefined;
    const { done, value } = await this.#reader.read(this.#buffer);
    if (done) return undefined;
    this.#buffer = new Uint8Array(value.buffer);
    return value;
  }

  /** Nobody wants the rest. */
  cancel() {
    this.#reader?.cancel().catch(() => {});
  }
}

/** Names of all that is bound and not blank, settings and others. */
export function names(env) {
  return Object.keys(env).filter(name => String(env[name]).trim() !== '').join('\0');
}

/** A setting as text, undefined where it is not set. In wrangler.toml and in the dashboard it may be any JSON. */
export function setting(env, name) {
  const value = env[name] ?? undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Whether there is a binding for data points: an account may lack it. */
export function hasAnalytics(env) {
  return typeof env.ANALYTICS?.writeDataPoint === 'function';
}

/** Writes a data point. It is sent after the request; one that cannot be written is lost, and nothing else. */
export function writeDataPoint(env, index, blobs, doubles) {
  try {
    env.ANALYTICS.writeDataPoint({ indexes: [index], blobs: blobs.split('\0'), doubles: [...doubles] });
  } catch {}
}
