// The yardstick for the way through a Durable Object: what the bare Worker does, after one admission per address that is
// written before it is answered, as ours are.
export class Limiter {
  constructor(state) {
    this.storage = state.storage;
  }

  async fetch() {
    this.arrival ??= (await this.storage.get('arrival')) ?? 0;
    this.arrival = Math.max(this.arrival, Date.now()) + 600;
    await this.storage.put('arrival', this.arrival);
    return Response.json({ allowed: true });
  }
}

export default {
  async fetch(request, env) {
    if (request.method !== 'POST') return new Response('up');
    const limiter = env.LIMITER.getByName(request.headers.get('cf-connecting-ip') ?? '');
    await (await limiter.fetch('https://limiter/')).json();
    return Response.json(await request.json());
  },
};
