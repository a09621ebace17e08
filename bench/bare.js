// The yardstick: the least that a Worker can do with a JSON request. It reads it, parses it, and sends it back.
export default {
  async fetch(request) {
    return request.method === 'POST' ? Response.json(await request.json()) : new Response('up');
  },
};
