// Imported before a program that talks to TiDB Cloud: its hosts are this machine, and https to them is the sandbox.

import dns from 'node:dns';

const online = dns.lookup;
dns.lookup = (host, options, done) => {
  if (!host.endsWith('.tidbcloud.com')) return online(host, options, done);
  const [settings, call] = typeof options === 'function' ? [{}, options] : [options, done];
  const found = { address: '127.0.0.1', family: 4 };
  return settings.all ? call(null, [found]) : call(null, found.address, found.family);
};

const request = globalThis.fetch;
globalThis.fetch = (url, options) => request(String(url).replace('https://', `${process.env.SANDBOX_URL}/`), options);
