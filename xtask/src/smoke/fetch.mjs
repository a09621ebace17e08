// The requests of `cargo xtask smoke`: each line of the standard input is one, as JSON, and each line of the standard output an answer.
// No redirect is followed, so that nothing goes to a host that nobody named. Why a request failed is told by the system's words only:
// those of `fetch` itself may quote a header.

import { createInterface } from 'node:readline';

const BYTES_MAX = 4 * 1024 * 1024;

async function answer({ method, url, headers, body, millis }) {
  const signal = AbortSignal.timeout(millis);
  try {
    const response = await fetch(url, { method, headers, body: body ?? undefined, redirect: 'manual', signal });
    const pieces = [];
    let size = 0;
    for await (const piece of response.body ?? []) {
      size += piece.length;
      if (size > BYTES_MAX) return { error: `more than ${BYTES_MAX} bytes` };
      pieces.push(piece);
    }
    return { status: response.status, headers: [...response.headers], body: Buffer.concat(pieces).toString() };
  } catch (error) {
    if (signal.aborted) return { error: `no answer within ${millis / 1000} s` };
    return { error: String(error.cause?.code ?? error.cause?.message ?? 'the request could not be made') };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
