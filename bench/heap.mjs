// Collects the garbage of a workerd process through its inspector, and prints the bytes that are left: of JavaScript, of
// what it holds outside, and of buffers, among them the memory of wasm.
// argument: the inspector's port. https://chromedevtools.github.io/devtools-protocol/v8/Runtime/#method-getHeapUsage
const [port] = process.argv.slice(2);
const [{ webSocketDebuggerUrl }] = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
const socket = new WebSocket(webSocketDebuggerUrl);
await new Promise((resolve, reject) => {
  socket.onopen = resolve;
  socket.onerror = () => reject(new Error(`no inspector at ${webSocketDebuggerUrl}`));
});
const waiting = new Map();
socket.onmessage = ({ data }) => {
  const { id, result, error } = JSON.parse(data);
  waiting.get(id)?.(error ?? result);
};
let last = 0;
const call = method =>
  new Promise(resolve => {
    waiting.set((last += 1), resolve);
    socket.send(JSON.stringify({ id: last, method }));
  });
await call('HeapProfiler.enable');
await call('HeapProfiler.collectGarbage');
const { usedSize = 0, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await call('Runtime.getHeapUsage');
console.log(usedSize + embedderHeapUsedSize + backingStorageSize);
socket.close();
