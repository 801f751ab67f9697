// A part of nbops' rehearsal lab; never for production.
const { createClient } = require("redis");

// A connection that tells the app's log of its troubles and mends itself.
async function connect(url, name, logger) {
  const client = createClient({ url, name });
  client.on("error", (error) => logger.error(`[${name}] ${error.message}`));
  await client.connect();
  return client;
}

async function disconnect(client) {
  if (!client?.isOpen) return;
  await client.close().catch(() => client.destroy());
}

// The app loads its plugins anew after an installation, in the same process: what stood
// there before must not go on beside its successor.
const standing = new Map();

function replace(app, kind, adapter, end) {
  const key = `${app.name} ${kind}`;
  const failed = (error) => app.logger.error(`[nbops-lab-${kind}] ${error.message}`);
  standing.get(key)?.().catch(failed);
  standing.set(key, () => end(adapter));
  return adapter;
}

module.exports = { connect, disconnect, replace };
