// Clusters to delete, made and looked at past the server.

import { api } from './control-plane.mjs';
import { advance } from './flow.mjs';

const CLUSTERS = 'https://serverless.tidbapi.com/v1beta1/clusters';

let next = 1;

const all = async () => (await api('GET', `${CLUSTERS}?pageSize=100`)).clusters;

// Makes clusters for `body`, which gets their names. None is left after it: an organization has five free ones.
export async function withClusters(label, count, body) {
  const names = Array.from({ length: count }, () => `${label.replaceAll(/[^A-Za-z0-9]+/g, '-')}-${process.pid}-${next++}`);
  try {
    for (const displayName of names) {
      await api('POST', CLUSTERS, { displayName, region: { name: 'regions/aws-us-east-1' } });
    }
    await advance(30);
    return await body(...names);
  } finally {
    for (const { clusterId, displayName, state } of await all()) {
      if (names.includes(displayName) && state === 'ACTIVE') await api('DELETE', `${CLUSTERS}/${clusterId}`);
    }
    await advance(30);
  }
}

// Whether a cluster is there, and nothing has begun to delete it.
export async function isThere(name) {
  return (await all()).some(({ displayName, state }) => displayName === name && state === 'ACTIVE');
}
