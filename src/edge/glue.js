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

/** What a Durable Object answers to a GET of `url` (with a body: a POST), as text; rejects after `millis`. */
export async function ask(namespace, name, url, body, millis) {
  const init = body === undefined ? {} : { method: 'POST', body };
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), millis);
  });
  try {
    return await Promise.race([namespace.getByName(name).fetch(url, init).then(answer => answer.text()), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A setting as text, undefined where it is not set. In wrangler.toml and in the dashboard it may be any JSON. */
export function setting(env, name) {
  const value = env[name] ?? undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
