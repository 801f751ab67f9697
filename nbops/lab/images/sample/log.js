// What the app did: each event a line on standard output and a row in "lab_events". What
// happened before the database was there is kept until it is.
function createLog(node, version) {
  const waiting = [];
  let database = null;

  const say = (text) => {
    console.log(`${new Date().toISOString()} ${node} ${version} pid ${process.pid} ${text}`);
  };

  async function event(text) {
    say(text);
    waiting.push([node, text, version, Date.now()]);
    while (database && waiting.length) {
      const sql = 'INSERT INTO "lab_events" ("node", "event", "version", "at") VALUES (?, ?, ?, ?)';
      await database.query(sql, waiting.shift());
    }
  }

  async function keepIn(opened) {
    await opened.createIfMissing(
      "lab_events",
      '"node" VARCHAR(255), "event" VARCHAR(255), "version" VARCHAR(255), "at" BIGINT',
    );
    database = opened;
  }

  return { say, event, keepIn };
}

module.exports = { createLog };
