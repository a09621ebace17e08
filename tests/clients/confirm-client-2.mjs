// The TypeScript client of both eras asks its person before a cluster is deleted, in each way it can choose an era.

import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { isThere, withClusters } from './lib/clusters.mjs';
import { content, headers, test, url } from './lib/flow.mjs';
import { allow, decline, errorOf, linkOf } from './lib/person.mjs';

const MODERN = '2026-07-28';
const FORMS = { elicitation: {} };

for (const [name, mode] of [
  ['legacy', 'legacy'],
  ['auto', 'auto'],
  ['pinned', { pin: MODERN }],
]) {
  const label = `client 2.4 ${name}`;
  const isModern = name !== 'legacy';

  // What it comes to when this client deletes a cluster of its own. `answer(form)` is the person at the client's form.
  const deletes = (capabilities, answer, body) => withClusters(label, 1, async cluster => {
    const client = new Client({ name: 'client-2', version: '0' }, { capabilities, versionNegotiation: { mode } });
    const forms = [];
    if (answer) {
      client.setRequestHandler('elicitation/create', async ({ params }) => {
        forms.push(params);
        return answer(cluster, forms.length);
      });
    }
    await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers: headers() } }));
    try {
      const call = () => client.callTool({ name: 'tidbcloud_delete_cluster', arguments: { cluster } });
      await body({ cluster, forms, call });
    } finally {
      await client.close();
    }
  });
  const accept = typed => ({ action: 'accept', content: { name: typed } });

  await test(`${label}: deletes a cluster whose name the person typed into its form`, async () => {
    await deletes(FORMS, accept, async ({ cluster, forms, call }) => {
      assert.equal(content(await call()).status, 'DELETING');
      assert.equal(forms.length, 1, 'a person is asked once');
      assert.match(forms[0].message, new RegExp(`^Delete the cluster ${cluster} [^]*\nId: \\d+\n`), 'the form says what is at stake');
      assert.equal(await isThere(cluster), false, 'what was allowed is done');
    });
  });

  await test(`${label}: deletes nothing while another name is typed`, async () => {
    const late = (cluster, times) => accept(times === 1 ? 'shpo' : cluster);
    await deletes(FORMS, late, async ({ cluster, forms, call }) => {
      if (!isModern) {
        // A call on a stream asks once; the page is left, and so is another call.
        const link = linkOf(await call());
        assert.ok(await isThere(cluster), 'another name allows nothing');
        await decline(link);
        assert.equal(errorOf(await call()).code, 'CONFIRMATION_DECLINED', 'the next call is told so, once');
      }
      assert.equal(content(await call()).status, 'DELETING');
      assert.equal(forms.length, 2, 'the person is asked again');
    });
  });

  for (const action of ['decline', 'cancel']) {
    await test(`${label}: deletes nothing on ${action}, and the person is left the page`, async () => {
      await deletes(FORMS, () => ({ action }), async ({ cluster, forms, call }) => {
        const link = linkOf(await call(), 'CONFIRMATION_DECLINED');
        assert.ok(await isThere(cluster), 'nothing was allowed');
        assert.equal(forms.length, 1, 'no is not asked again');
        await allow(link, cluster);
        assert.equal(content(await call()).status, 'DELETING');
        assert.equal(forms.length, 1, 'what the page allowed is asked of nobody');
      });
    });
  }

  await test(`${label}: without forms the person gets a link`, async () => {
    await deletes({}, undefined, async ({ cluster, call }) => {
      const link = linkOf(await call());
      assert.ok(await isThere(cluster), 'nothing was allowed');
      await allow(link, cluster);
      assert.equal(content(await call()).status, 'DELETING');
      assert.equal(errorOf(await call()).code, 'NOT_FOUND', 'it is gone');
    });
  });

  await test(`${label}: that says it shows forms and shows none deletes nothing`, async () => {
    await deletes(FORMS, undefined, async ({ cluster, call }) => {
      // In the new era the client itself ends the call; before, it posts an error.
      if (isModern) await assert.rejects(call());
      else await decline(linkOf(await call(), 'CONFIRMATION_DECLINED'));
      assert.ok(await isThere(cluster), 'nothing was allowed');
    });
  });
}
