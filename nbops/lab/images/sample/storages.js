// File storages, as every node of NocoBase has them: rows in the database, kept in memory
// and read anew only when a message from another node says so. Without the adapter for
// messages the nodes work, and do not know of each other's changes.
const { randomUUID } = require("node:crypto");
const { createClient } = require("./redis");

const CHANNEL = "main.main.sync.file-manager";
const RELOAD = "reloadStorages";
const ADAPTER = /(^|plugin-)pubsub-adapter-redis$/;

async function createStorages(app, database) {
  const messages = connect(app, () => load());
  let known = [];

  async function load() {
    const rows = await database.query('SELECT * FROM "storages" ORDER BY "id"');
    known = rows.map((row) => ({
      ...row,
      id: Number(row.id),
      default: Boolean(row.default),
    }));
  }

  async function changed() {
    await load();
    await messages.tell();
  }

  await load();
  return {
    list: () => known,
    find: (name) => known.find((storage) => storage.name === name),
    async create({ name, type }) {
      await database.query('INSERT INTO "storages" ("name", "type", "default") VALUES (?, ?, FALSE)', [
        name,
        type,
      ]);
      await changed();
      return known.find((storage) => storage.name === name);
    },
    async destroy(part) {
      const gone = known.filter((storage) => !storage.default && storage.name.includes(part));
      for (const { id } of gone) await database.query('DELETE FROM "storages" WHERE "id" = ?', [id]);
      if (gone.length) await changed();
      return gone.length;
    },
    close: () => messages.close(),
  };
}

function connect(app, hear) {
  const { env, log, faults } = app;
  const url = env.PUBSUB_ADAPTER_REDIS_URL;
  if (!url || !app.plugins.some((name) => ADAPTER.test(name))) return alone(log);
  const me = randomUUID(); // two apps on one host may have the same name and number
  const failed = (error) => log.say(`redis: ${error.message}`);
  const speaker = createClient(url, failed);
  const listener = createClient(url, failed);
  if (!faults.deaf) {
    listener.subscribe(CHANNEL, (text) => {
      const { publisherId, message } = JSON.parse(text);
      if (publisherId !== me && message.type === RELOAD) hear().catch(failed);
    });
  }
  const said = JSON.stringify({ publisherId: me, message: { type: RELOAD } });
  return {
    tell: async () => speaker.publish(CHANNEL, said),
    close: () => [speaker, listener].forEach((client) => client.close()),
  };
}

// NocoBase's own words, when nothing registered.
function alone(log) {
  const tell = async () =>
    log.say(
      `[PubSubManager] adapter is not exist or not connected, cannot publish message to channel ${CHANNEL}`,
    );
  tell();
  return { tell, close: () => undefined };
}

module.exports = { createStorages };
