// What a client does by itself, over plain HTTP: PKCE, registration, tokens, and calls with them.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { origin, ownAddress } from './browser.mjs';
import { url } from './flow.mjs';

// One installation of a client, behind an address of its own.
export class OauthClient {
  constructor({ id, redirect, scope = 'tidb:read', resource = url.href, state = randomBytes(16).toString('base64url') }) {
    Object.assign(this, { id, redirect, scope, resource, state });
    this.address = ownAddress();
    this.verifier = randomBytes(32).toString('base64url');
  }

  fetch(path, options = {}) {
    const headers = { ...options.headers, 'cf-connecting-ip': this.address };
    return fetch(new URL(path, origin), { ...options, headers, redirect: 'manual' });
  }

  // RFC 7591: takes the id that the server gives.
  async register(metadata) {
    const answer = await this.fetch('/register', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(metadata),
    });
    const body = await answer.json();
    assert.equal(answer.status, 201, JSON.stringify(body));
    this.id = body.client_id;
    return body;
  }

  // The address that a client opens a browser with.
  get request() {
    const request = new URL('/authorize', origin);
    const challenge = createHash('sha256').update(this.verifier).digest('base64url');
    request.search = new URLSearchParams({
      response_type: 'code',
      client_id: this.id,
      redirect_uri: this.redirect,
      state: this.state,
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...(this.scope && { scope: this.scope }),
      ...(this.resource && { resource: this.resource }),
    });
    return request.href;
  }

  // What comes back to the redirect URI, checked as a client has to (RFC 6749 section 4.1.2, RFC 9207 section 2.4).
  code(target) {
    const answer = new URL(target);
    const asked = new URL(this.redirect);
    for (const part of ['protocol', 'host', 'pathname']) assert.equal(answer[part], asked[part]);
    assert.equal(answer.searchParams.get('state'), this.state);
    assert.equal(answer.searchParams.get('iss'), origin);
    assert.deepEqual([...answer.searchParams.keys()].sort(), ['code', 'iss', 'state']);
    return answer.searchParams.get('code');
  }

  async token(fields) {
    const answer = await this.fetch('/token', {
      method: 'POST',
      body: new URLSearchParams({ client_id: this.id, ...fields, ...(this.resource && { resource: this.resource }) }),
    });
    return { status: answer.status, ...(await answer.json()) };
  }

  async redeem(code) {
    const fields = { grant_type: 'authorization_code', code, redirect_uri: this.redirect, code_verifier: this.verifier };
    const tokens = await this.token(fields);
    assert.equal(tokens.status, 200, JSON.stringify(tokens));
    assert.equal(tokens.token_type, 'Bearer');
    return tokens;
  }

  refresh(tokens) {
    return this.token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
  }

  // The answer to a method of MCP, called with a token, whatever its status.
  call({ access_token: token }, method, params = {}) {
    return this.fetch('/mcp', {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
        'mcp-protocol-version': '2025-11-25',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
  }

  // Its result.
  async ask(tokens, method, params = {}) {
    const answer = await this.call(tokens, method, params);
    const body = await answer.text();
    assert.equal(answer.status, 200, `${answer.status}: ${body}`);
    return JSON.parse(body).result;
  }

  // The names of the clusters that a token shows.
  async clusters(tokens) {
    const { structuredContent } = await this.ask(tokens, 'tools/call', { name: 'tidbcloud_list_clusters' });
    return structuredContent.clusters.map(cluster => cluster.displayName);
  }
}
