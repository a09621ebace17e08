// A client as a server sees one: it registers, asks for consent, redeems codes and calls tools.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { origin, ownAddress, owner } from '../../clients/lib/browser.mjs';

// RFC 7636 appendix B.
const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM';

// It only has to be there when the browser comes back.
const listening = createServer((request, answer) => answer.end('back'));
await new Promise(resolve => listening.listen(0, '127.0.0.1', resolve));
export const callback = `http://127.0.0.1:${listening.address().port}/callback`;
export const close = () => listening.close();

async function post(path, headers, body) {
  const answer = await fetch(`${origin}${path}`, {
    method: 'POST',
    headers: { 'CF-Connecting-IP': ownAddress(), ...headers },
    body,
  });
  assert.ok(answer.ok, `${path}: ${answer.status} ${answer.ok || (await answer.text())}`);
  return answer.json();
}

// Where a person allows a new client everything, and the id of that client.
export async function asking() {
  const about = { client_name: 'A client <b>with</b> "marks"', redirect_uris: [callback] };
  const { client_id: id } = await post('/register', { 'content-type': 'application/json' }, JSON.stringify(about));
  const address = `${origin}/authorize?${new URLSearchParams({
    response_type: 'code',
    client_id: id,
    redirect_uri: callback,
    state: 'state',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    scope: 'tidb:read tidb:write tidb:destroy',
  })}`;
  return { id, address };
}

// The access token for a code.
export async function redeem(id, code) {
  const form = new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    client_id: id,
    redirect_uri: callback,
    code_verifier: verifier,
  });
  return (await post('/token', {}, form)).access_token;
}

export const keyHeaders = { 'X-TiDB-API-Public-Key': owner.publicKey, 'X-TiDB-API-Private-Key': owner.privateKey };

// Calls a tool, and gives its structured result.
export async function call(name, args, credential) {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'MCP-Protocol-Version': '2025-06-18',
    ...credential,
  };
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } };
  const { result } = await post('/mcp?toolsets=all', headers, JSON.stringify(message));
  return result.structuredContent;
}

// Calls a tool that a person has to allow, and gives the link that they are to open.
export async function linkOf(name, args, credential) {
  const { code, hint } = (await call(name, args, credential)).error;
  assert.equal(code, 'CONFIRMATION_REQUIRED');
  const link = hint.match(/https?:\S+\/confirm\/[\w.-]+/)?.[0];
  assert.ok(link?.startsWith(`${origin}/confirm/`), hint);
  return link;
}
