// The control plane of the sandbox, called as its owner.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'

const sandbox = process.env.SANDBOX_URL ?? 'http://127.0.0.1:8788'
const [publicKey, privateKey] = ['SBXOWNER', '5b000000-0000-4000-8000-0000000000aa']

// https://<host>/<path> is http://127.0.0.1:8788/<host>/<path> here.
export const here = (url) => url.replace('https://', `${sandbox}/`)
const md5 = (text) => createHash('md5').update(text).digest('hex')

// HTTP Digest (RFC 7616 section 3.4), qop "auth", one challenge for each call.
export async function api(method, url, body) {
  const target = here(url)
  const send = (headers) =>
    fetch(target, { method, headers: { 'Content-Type': 'application/json', ...headers }, body: body && JSON.stringify(body) })
  const challenge = (await send({})).headers.get('www-authenticate') ?? ''
  const value = (name) => challenge.match(new RegExp(`${name}="([^"]*)"`))?.[1] ?? ''
  const { pathname, search } = new URL(target)
  const uri = pathname + search
  const [nc, cnonce] = ['00000001', md5(String(Math.random()))]
  const first = md5(`${publicKey}:${value('realm')}:${privateKey}`)
  const response = md5(`${first}:${value('nonce')}:${nc}:${cnonce}:auth:${md5(`${method}:${uri}`)}`)
  const answer = await send({
    Authorization:
      `Digest username="${publicKey}", realm="${value('realm')}", nonce="${value('nonce')}", uri="${uri}", qop=auth, ` +
      `nc=${nc}, cnonce="${cnonce}", response="${response}", algorithm=MD5, opaque="${value('opaque')}"`,
  })
  const text = await answer.text()
  assert.ok(answer.ok, `${method} ${url}: ${answer.status} ${text}`)
  return text ? JSON.parse(text) : {}
}
