// node client.mjs HOST PORT TAG MODE [SHARED_KEY]: sends three records and waits until each is acknowledged.
import { FluentClient } from "@fluent-org/logger";

const [host, port, tag, eventMode, sharedKey] = process.argv.slice(2);
const client = new FluentClient(tag, {
  eventMode,
  ack: { ackTimeout: 30_000 },
  socket: { host, port: Number(port), timeout: 30_000 },
  ...(sharedKey ? { security: { clientHostname: "client.test", sharedKey } } : {}),
});
client.socketOn("error", (error) => {
  console.error(error);
  process.exit(1);
});
await Promise.all([1, 2, 3].map((n) => client.emit({ message: `line ${n}`, level: "error", n, nested: { ok: true } })));
await client.disconnect();
console.log("acknowledged");
