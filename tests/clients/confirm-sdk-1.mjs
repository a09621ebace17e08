// The TypeScript SDK of the legacy era asks its person while the call waits: the question comes on the stream of the call.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { isThere, withClusters } from './lib/clusters.mjs';
import { content, headers, test, url } from './lib/flow.mjs';
import { decline, linkOf } from './lib/person.mjs';

const label = 'sdk 1.32';

// Waits for what comes within ten seconds, or not at all.
async function until(comes, what) {
  for (let tries = 0; !comes(); tries += 1) {
    assert.ok(tries < 200, what);
    await pause(50);
  }
}

// Connects a client whose person answers forms with `answer(form)`, and notes what the server has answered: messages that the client
// posted, by their method, and requests of other kinds.
async function connected(answer) {
  const client = new Client({ name: 'sdk-1', version: '0' }, { capabilities: { elicitation: {} } });
  const forms = [];
  client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
    forms.push(params);
    return answer(params);
  });
  const [posted, others] = [[], []];
  const noting = async (target, options) => {
    const response = await fetch(target, options);
    if (options.method === 'POST') posted.push(JSON.parse(options.body).method ?? 'a response');
    else others.push([options.method, response.status]);
    return response;
  };
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers: headers() }, fetch: noting });
  const complaints = [];
  client.onerror = error => complaints.push(String(error));
  await client.connect(transport);
  const deletes = (cluster, options) =>
    client.callTool({ name: 'tidbcloud_delete_cluster', arguments: { cluster } }, undefined, options);
  return { client, transport, forms, posted, others, complaints, deletes };
}

await test(`${label}: deletes a cluster whose name the person typed into its form`, async () => {
  await withClusters(label, 1, async cluster => {
    const { client, forms, complaints, deletes } = await connected(() => ({ action: 'accept', content: { name: cluster } }));
    assert.equal(content(await deletes(cluster)).status, 'DELETING');
    assert.equal(forms.length, 1, 'a person is asked once');
    assert.match(forms[0].message, new RegExp(`^Delete the cluster ${cluster} `));
    assert.equal(await isThere(cluster), false, 'what was allowed is done');
    assert.deepEqual(complaints, [], 'the client finds no fault with the stream');
    await client.close();
  });
});

await test(`${label}: begins and ends a session without a complaint`, async () => {
  const { client, transport, others, complaints } = await connected(() => ({ action: 'decline' }));
  assert.ok(transport.sessionId, 'what the client declared comes back with its requests');
  await client.ping();
  await transport.terminateSession();
  assert.equal(transport.sessionId, undefined, 'the client takes its session as ended');
  await client.close();
  // It asks for a stream of its own as well, which no server has to offer (2025-11-25, transports, listening for messages).
  assert.deepEqual(others.sort(), [['DELETE', 204], ['GET', 405]]);
  assert.deepEqual(complaints, []);
});

const unheard = () => { throw new Error('the form does not open'); };
for (const [what, answer, code] of [
  ['the person declines', () => ({ action: 'decline' }), 'CONFIRMATION_DECLINED'],
  ['the person closes the form', () => ({ action: 'cancel' }), 'CONFIRMATION_DECLINED'],
  ['its handler throws', unheard, 'CONFIRMATION_DECLINED'],
  ['another name is typed', () => ({ action: 'accept', content: { name: 'shpo' } }), 'CONFIRMATION_REQUIRED'],
]) {
  await test(`${label}: deletes nothing where ${what}, and the person is left the page`, async () => {
    await withClusters(label, 1, async cluster => {
      const { client, forms, deletes } = await connected(answer);
      const link = linkOf(await deletes(cluster), code);
      assert.equal(forms.length, 1, 'the person is asked once');
      assert.ok(await isThere(cluster), 'nothing was allowed');
      await decline(link);
      await client.close();
    });
  });
}

await test(`${label}: two calls wait at once, and each goes its own way`, async () => {
  await withClusters(label, 2, async (kept, gone) => {
    let asked = 0;
    const both = Promise.withResolvers();
    const { client, deletes } = await connected(async ({ message }) => {
      if (++asked === 2) both.resolve();
      await both.promise;
      return message.includes(gone) ? { action: 'accept', content: { name: gone } } : { action: 'decline' };
    });
    const [declined, deleted] = await Promise.all([deletes(kept), deletes(gone)]);
    await decline(linkOf(declined, 'CONFIRMATION_DECLINED'));
    assert.equal(content(deleted).status, 'DELETING');
    assert.deepEqual([await isThere(kept), await isThere(gone)], [true, false], 'an answer counts for its own call');
    await client.close();
  });
});

await test(`${label}: deletes nothing that its person allows after the client gave up`, async () => {
  await withClusters(label, 1, async cluster => {
    const late = Promise.withResolvers();
    const { client, posted, complaints, deletes } = await connected(() => late.promise);
    await assert.rejects(deletes(cluster, { timeout: 1_000 }), /timed out/i, 'the client gives up by itself');
    await until(() => posted.includes('notifications/cancelled'), 'the client says so');
    // The client complains about an answer that it does not want any more.
    await until(() => complaints.length > 0, 'a call that is cancelled ends');
    late.resolve({ action: 'accept', content: { name: cluster } });
    await until(() => posted.includes('a response'), 'the person agrees after that');
    assert.ok(await isThere(cluster), 'a call that its client has cancelled changes nothing');
    await client.close();
  });
});

await test(`${label}: deletes nothing where the client closes before anybody answers`, async () => {
  await withClusters(label, 1, async cluster => {
    const { client, deletes } = await connected(async () => {
      await client.close();
      return { action: 'accept', content: { name: cluster } };
    });
    await assert.rejects(deletes(cluster));
    await pause(2_000);
    assert.ok(await isThere(cluster), 'nobody has answered');
  });
});
