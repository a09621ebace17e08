// The person behind a client: what they type, and what they do at a page of the server, over plain HTTP.

import assert from 'node:assert/strict';

// The sandbox's owner, as a person pastes it.
export const owner = { publicKey: 'SBXOWNER', privateKey: '5b000000-0000-4000-8000-0000000000aa' };

let nextAddress = 1;

// An address of a person's own (RFC 2544, 198.18.0.0/15), so that nobody uses up the limit of another.
export const ownAddress = () => `198.18.${process.pid % 256}.${nextAddress++ % 256}`;

// The error of a call that did not succeed.
export function errorOf(result) {
  assert.equal(result.isError, true, `the call must not have run: ${JSON.stringify(result)}`);
  return result.structuredContent.error;
}

// The link that a call gave to a person, with the code that it came with.
export function linkOf(result, code = 'CONFIRMATION_REQUIRED') {
  const error = errorOf(result);
  assert.equal(error.code, code, JSON.stringify(error));
  const link = error.hint.match(/https?:\/\/\S+\/confirm\/[\w.-]+\w/)?.[0];
  assert.ok(link, `the hint has a link: ${error.hint}`);
  return link;
}

// The fields that a page hands back.
const hidden = html =>
  Object.fromEntries([...html.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)].map(([, ...field]) => field));

// A person who opens a link to `/confirm/`.
export class Visitor {
  constructor(link) {
    this.link = link;
    this.address = ownAddress();
  }

  async send(fields) {
    const headers = { 'cf-connecting-ip': this.address, ...(this.cookie && { cookie: this.cookie }) };
    if (fields !== undefined) headers.origin = new URL(this.link).origin;
    const answer = await fetch(this.link, fields === undefined ? { headers } : { method: 'POST', headers, body: new URLSearchParams(fields) });
    return { status: answer.status, html: await answer.text(), cookie: answer.headers.get('set-cookie')?.split(';')[0] };
  }

  // Proves to be the one who connected; gives what is shown then.
  async prove(keys = owner) {
    const page = await this.send(keys);
    Object.assign(this, { cookie: page.cookie, fields: hidden(page.html) });
    return page;
  }

  decide(decision, name) {
    return this.send({ ...this.fields, decision, ...(name && { name }) });
  }
}

// A person who reads, types the name if one is asked for, and allows it.
export async function allow(link, name, keys = owner) {
  const person = new Visitor(link);
  const shown = await person.prove(keys);
  assert.equal(shown.status, 200, shown.html);
  const done = await person.decide('confirm', name);
  assert.equal(done.status, 200, done.html);
  return shown.html;
}

// A person who reads, and declines. What nobody answers stays open for ten minutes, and a principal has ten questions.
export async function decline(link, keys = owner) {
  const person = new Visitor(link);
  await person.prove(keys);
  assert.equal((await person.decide('decline')).status, 200);
}
