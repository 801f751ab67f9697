// The plugins of the image that are not enabled by themselves, and their switch. Enabling one
// makes a table, as plugins do; `half-baked` makes it and then fails, for tests of the way back.
const OPTIONAL = ["map", "half-baked"];
const BREAKS = "half-baked";
const LOADING_MS = 300;

const packageOf = (name) => (name.includes("/") ? name : `@nocobase/plugin-${name}`);

function createPlugins(app) {
  async function rows() {
    const found = await app.database.query('SELECT * FROM "applicationPlugins" ORDER BY "id"');
    const flag = (value) => Boolean(value);
    return found.map((row) => ({
      ...row,
      id: Number(row.id),
      enabled: flag(row.enabled),
      installed: flag(row.installed),
      builtIn: flag(row.builtIn),
    }));
  }

  // Every plugin whose package the image has, as `pm:list` tells them.
  async function list() {
    const known = await rows();
    const absent = OPTIONAL.filter((name) => !known.some((row) => row.name === name));
    return [
      ...known.filter(({ name }) => app.plugins.includes(name) || OPTIONAL.includes(name)),
      ...absent.map((name) => ({ name, packageName: packageOf(name), enabled: false })),
    ];
  }

  async function turn(keys, enabled) {
    const known = await list();
    const chosen = keys.map((key) => {
      const found = known.find(({ name, packageName }) => key === name || key === packageName);
      if (!found) throw new Error(`plugin ${key} not found`);
      return found;
    });
    app.state.busy(`${enabled ? "enabling" : "disabling"} plugin ${keys.join(",")}`);
    try {
      for (const plugin of chosen) await turnOne(plugin, enabled);
      await app.log.event(`${enabled ? "enabled" : "disabled"} ${keys.join(",")}`);
      await new Promise((done) => setTimeout(done, LOADING_MS)); // NocoBase reloads itself
    } finally {
      app.state.run();
    }
  }

  async function turnOne({ id, name, packageName }, enabled) {
    if (enabled) {
      await app.database.createIfMissing(`plugin_${name}`, '"id" BIGINT');
      if (name === BREAKS) throw new Error(`plugin ${name} cannot be installed`);
    }
    const now = new Date();
    await app.database.query(
      ...(id
        ? [
            'UPDATE "applicationPlugins" SET "enabled" = ?, "updatedAt" = ? WHERE "name" = ?',
            [enabled, now, name],
          ]
        : [
            'INSERT INTO "applicationPlugins" ("createdAt", "updatedAt", "name", "packageName", ' +
              '"version", "enabled", "installed", "builtIn") VALUES (?, ?, ?, ?, ?, TRUE, TRUE, FALSE)',
            [now, now, name, packageName, app.version],
          ]),
    );
  }

  return { rows, list, turn };
}

module.exports = { createPlugins, packageOf };
