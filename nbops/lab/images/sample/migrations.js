// The database of each version. 2.2.15 keeps a note's text in one column; 2.2.16 has a
// title (its first line) and a body instead, and wants to know which release issued a
// token. Neither can work on the database of the other.
const { hash } = require("./passwords");

const SPLIT_AT = "2.2.16";

const isSince = (version, other) => {
  const [a, b] = [version, other].map((text) => text.split(".").map(Number));
  const at = a.findIndex((number, index) => number !== b[index]);
  return at < 0 || a[at] > b[at];
};

const columns = ({ id, time, json }) => ({
  applicationVersion: `"id" ${id}, "value" VARCHAR(255)`,
  applicationPlugins:
    `"id" ${id}, "createdAt" ${time} NOT NULL, "updatedAt" ${time} NOT NULL, ` +
    '"name" VARCHAR(255) UNIQUE, "packageName" VARCHAR(255) UNIQUE, "version" VARCHAR(255), ' +
    `"enabled" BOOLEAN, "installed" BOOLEAN, "builtIn" BOOLEAN, "options" ${json}`,
  migrations: '"name" VARCHAR(255) NOT NULL PRIMARY KEY',
  users: `"id" ${id}, "nickname" VARCHAR(255), "username" VARCHAR(255), "email" VARCHAR(255) UNIQUE, "password" VARCHAR(255)`,
  issuedTokens: `"id" ${id}, "jti" VARCHAR(255) NOT NULL, "userId" BIGINT NOT NULL`,
  notes: `"id" ${id}, "text" TEXT`,
  storages: `"id" ${id}, "name" VARCHAR(255) UNIQUE, "type" VARCHAR(255), "default" BOOLEAN`,
});

async function installedVersion(database) {
  const [tables] = await database.query(
    "SELECT COUNT(*) AS n FROM information_schema.tables WHERE table_name = 'applicationVersion' " +
      `AND table_schema = ${database.dialect === "postgres" ? "current_schema()" : "DATABASE()"}`,
  );
  if (!Number(tables.n)) return null;
  const [row] = await database.query('SELECT "value" FROM "applicationVersion"');
  return row ? row.value : null;
}

async function install(database, app) {
  for (const [table, definition] of Object.entries(columns(database.types))) {
    await database.createIfMissing(table, definition);
  }
  if (isSince(app.version, SPLIT_AT)) await splitNotes(database, "");
  const { INIT_ROOT_EMAIL, INIT_ROOT_PASSWORD, INIT_ROOT_NICKNAME, INIT_ROOT_USERNAME } = app.env;
  await database.query(
    'INSERT INTO "users" ("nickname", "username", "email", "password") VALUES (?, ?, ?, ?)',
    [
      INIT_ROOT_NICKNAME || "Super Admin",
      INIT_ROOT_USERNAME || "nocobase",
      INIT_ROOT_EMAIL || "admin@nocobase.com",
      hash(INIT_ROOT_PASSWORD || "admin123"),
    ],
  );
  await database.query(
    'INSERT INTO "storages" ("name", "type", "default") VALUES (\'local\', \'local\', TRUE)',
  );
  await record(database, app);
}

async function upgrade(database, app, before) {
  if (isSince(app.version, SPLIT_AT) && !isSince(before, SPLIT_AT)) {
    const [done] = await database.query('SELECT "name" FROM "migrations" WHERE "name" = ?', [
      SPLIT_AT,
    ]);
    if (!done) await splitNotes(database, before, () => app.faults.at("migration"));
  }
  await record(database, app);
}

async function splitNotes(database, before, halfway = () => undefined) {
  await database.query('ALTER TABLE "issuedTokens" ADD COLUMN "issuedBy" VARCHAR(255)');
  await database.query('UPDATE "issuedTokens" SET "issuedBy" = ?', [before]);
  await database.query(database.notNull("issuedTokens", "issuedBy"));
  await database.query('ALTER TABLE "notes" ADD COLUMN "title" TEXT');
  await database.query('ALTER TABLE "notes" ADD COLUMN "body" TEXT');
  halfway();
  for (const note of await database.query('SELECT "id", "text" FROM "notes"')) {
    const [title, ...body] = note.text.split("\n");
    const values = [title, body.join("\n"), note.id];
    await database.query('UPDATE "notes" SET "title" = ?, "body" = ? WHERE "id" = ?', values);
  }
  await database.query('ALTER TABLE "notes" DROP COLUMN "text"');
  await database.query('INSERT INTO "migrations" ("name") VALUES (?)', [SPLIT_AT]);
}

async function record(database, app) {
  const now = new Date();
  const known = (await database.query('SELECT "name" FROM "applicationPlugins"')).map(
    (row) => row.name,
  );
  for (const name of app.plugins.filter((plugin) => !known.includes(plugin))) {
    await database.query(
      'INSERT INTO "applicationPlugins" ("createdAt", "updatedAt", "name", "packageName", "version", ' +
        '"enabled", "installed", "builtIn") VALUES (?, ?, ?, ?, ?, TRUE, TRUE, TRUE)',
      [now, now, name, name.includes("/") ? name : `@nocobase/plugin-${name}`, app.version],
    );
  }
  const values = [app.version, now, app.version];
  await database.query(
    'UPDATE "applicationPlugins" SET "version" = ?, "updatedAt" = ? WHERE "version" <> ?',
    values,
  );
  // Another process of the node may look at this moment: without a version it would install.
  const [there] = await database.query('SELECT "value" FROM "applicationVersion"');
  const write = there
    ? 'UPDATE "applicationVersion" SET "value" = ?'
    : 'INSERT INTO "applicationVersion" ("value") VALUES (?)';
  await database.query(write, [app.version]);
}

module.exports = { SPLIT_AT, install, installedVersion, isSince, upgrade };
