// The sample app: stands in for NocoBase on the rehearsal machines where a test needs
// hundreds of starts. It starts in a second and has what a deployment can see of NocoBase
// 2.2: the same environment, addresses, start-up states and answers, the tables
// "applicationVersion" and "applicationPlugins", accounts and tokens, and a migration in a
// real PostgreSQL or MariaDB whose outcome the version before cannot use. As NocoBase, it
// guards nothing: not two nodes that install at once, not an old version on a new database.
//
// What it did and when is on its standard output and in the table "lab_events", in order.
// SAMPLE_FAULT makes it fail in a chosen way (see faults.js).
const cluster = require("node:cluster");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { WebSocketServer } = require("ws");
const { createApi } = require("./api");
const { connect } = require("./database");
const { createFaults } = require("./faults");
const { createLog } = require("./log");
const { createPlugins } = require("./plugins");
const { State } = require("./state");
const { createStorages } = require("./storages");
const { install, installedVersion, upgrade } = require("./migrations");

const DRAIN_MS = 8000;
const GOODBYE_MS = 200;
const PLUGIN_MS = 60;
const env = process.env;
const quickstart = process.argv.includes("--quickstart");
const version = fs.readFileSync(path.join(__dirname, "VERSION"), "utf8").trim();
const storage = env.STORAGE_PATH || path.join(__dirname, "storage");
const plugins = [
  "acl",
  "auth",
  "file-manager",
  "system-settings",
  "ui-schema-storage",
  "users",
  "workflow",
];
const appended = (env.APPEND_PRESET_BUILT_IN_PLUGINS || "")
  .split(",")
  .map((name) => name.trim())
  .filter(Boolean);

async function main() {
  const processes =
    env.CLUSTER_MODE === "max" ? os.availableParallelism() : Number(env.CLUSTER_MODE) || 0;
  if (processes && cluster.isPrimary) return fork(processes);
  const log = createLog(os.hostname(), version);
  const faults = createFaults(env.SAMPLE_FAULT, log);
  const state = new State();
  if (!faults.noAdapters) plugins.push(...appended);
  await log.event("starting");
  faults.at("start");
  const app = { env, version, plugins, log, faults, state, database: null };
  app.switch = createPlugins(app);
  const stop = serve(app);
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => stop(signal));
  await start(app);
}

// One process for each core asked for, all behind the same port, as under pm2 -i.
function fork(processes) {
  for (let n = 0; n < processes; n += 1) cluster.fork();
  let stopping = false;
  cluster.on("exit", (_worker, code) => {
    if (!stopping) process.exit(code || 1);
    if (!Object.keys(cluster.workers).length) process.exit(0);
  });
  const stop = () => {
    stopping = true;
    for (const worker of Object.values(cluster.workers)) worker.process.kill("SIGTERM");
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

async function start(app) {
  const { state, log, faults } = app;
  try {
    const database = await connect(env);
    await log.keepIn(database);
    await prepareDatabase(app, database);
    await faults.whileLoading(state, plugins);
    for (const [index, name] of plugins.entries()) {
      state.busy(`load plugin [${name}], ${index + 1}/${plugins.length}`);
      await new Promise((done) => setTimeout(done, PLUGIN_MS));
    }
    app.database = database;
    app.storages = await createStorages(app, database);
    state.run();
    await log.event("started");
    faults.at("healthy");
  } catch (error) {
    log.say(`failed: ${error.message}`);
    state.fail(error);
  }
}

async function prepareDatabase(app, database) {
  const { state, log } = app;
  const mark = path.join(storage, ".upgrading");
  const marked = fs.existsSync(mark);
  const before = await installedVersion(database);
  if (before === null) {
    fs.rmSync(mark, { force: true });
    if (marked || !quickstart) throw state.notInstalled();
    state.busy("install plugins...");
    await log.event("installing");
    await install(database, app);
    await log.event("installed");
  } else if (env.SKIP_SAME_VERSION_UPGRADE === "true" && before === version) {
    await log.event("upgrade skipped");
  } else if (marked || quickstart) {
    state.busy("upgrading...");
    await log.event(`migrating ${before} -> ${version}`);
    await upgrade(database, app, before);
    await log.event(`migrated ${before} -> ${version}`);
  }
  fs.rmSync(mark, { force: true });
}

function serve(app) {
  const server = http.createServer(createApi(app));
  const sockets = new WebSocketServer({ server, path: env.WS_PATH || "/ws" });
  sockets.on("connection", (socket) => {
    socket.on("error", (error) => app.log.say(`websocket: ${error.message}`));
    socket.on("message", (data) => socket.send(String(data) === "ping" ? "pong" : String(data)));
    socket.send(JSON.stringify({ type: "maintaining", payload: app.state.told() }));
  });
  server.listen(Number(env.APP_PORT) || 13000, "0.0.0.0");
  return async function stop(signal) {
    setTimeout(() => process.exit(1), DRAIN_MS).unref();
    await app.log.event(`stopping on ${signal}`).catch((error) => app.log.say(error.message));
    for (const socket of sockets.clients) {
      socket.close(1001);
      setTimeout(() => socket.terminate(), GOODBYE_MS);
    }
    await new Promise((done) => {
      server.close(done);
      server.closeIdleConnections();
    });
    if (app.storages) app.storages.close();
    if (app.database) await app.database.close();
    app.log.say("stopped");
    process.exit(0);
  };
}

main();
