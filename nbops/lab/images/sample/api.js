// The addresses that a deployment uses, with NocoBase's answers; and notes, which are kept
// in the database in the shape that this version gives them.
const { issue, matches, verify } = require("./passwords");
const { SPLIT_AT, isSince } = require("./migrations");

const BODY_LIMIT = 1 << 20;
const BASIC_INFO = "/storages:getBasicInfo";

class Refused extends Error {
  constructor(status, message, code) {
    super(message);
    this.status = status;
    this.told = { errors: [code ? { message, code } : { message }] };
  }
}

const unauthenticated = () =>
  new Refused(401, "Unauthenticated. Please sign in to continue.", "EMPTY_TOKEN");

function createApi(app) {
  const routes = {
    "GET /app:getInfo": () => info(app),
    "POST /auth:signIn": async (request) => signIn(app, await read(request)),
    "GET /auth:check": (request) => currentUser(app, request),
    "GET /pm:list": (request) => currentUser(app, request).then(() => app.switch.list()),
    "POST /pm:enable": (request) => turnPlugins(app, request, true),
    "POST /pm:disable": (request) => turnPlugins(app, request, false),
    "GET /applicationPlugins:list": (request) =>
      currentUser(app, request).then(() => app.switch.rows()),
    "GET /applicationVersion:list": (request) =>
      currentUser(app, request).then(() => app.database.query('SELECT * FROM "applicationVersion"')),
    "GET /storages:list": (request) => currentUser(app, request).then(() => app.storages.list()),
    [`GET ${BASIC_INFO}`]: async (request) => {
      await currentUser(app, request);
      return storageOf(app, request);
    },
    "POST /storages:create": async (request) => {
      await currentUser(app, request);
      return app.storages.create(await read(request));
    },
    "POST /storages:destroy": async (request) => {
      await currentUser(app, request);
      return app.storages.destroy(filterOf(request).name.$includes);
    },
    "GET /notes": (request) => currentUser(app, request).then(() => listNotes(app)),
    "POST /notes": async (request) => {
      await currentUser(app, request);
      return addNote(app, await read(request));
    },
  };
  return async (request, response) => {
    const { pathname } = new URL(request.url, "http://app");
    const place = pathname.replace(/^\/api/, "");
    if (!app.state.running) return answer(response, 503, { error: app.state.current });
    if (place === "/__health_check") return response.end("ok");
    if (pathname === "/") return response.end(`sample ${app.version}\n`);
    const action = place.startsWith(`${BASIC_INFO}/`) ? BASIC_INFO : place;
    const route = pathname.startsWith("/api/") && routes[`${request.method} ${action}`];
    if (!route) return answer(response, 404, { errors: [{ message: "Not Found" }] });
    try {
      return answer(response, 200, { data: await route(request) });
    } catch (error) {
      if (!error.status) app.log.say(`${request.method} ${pathname}: ${error.message}`);
      return answer(
        response,
        error.status || 500,
        error.told || { errors: [{ message: error.message }] },
      );
    }
  };
}

function info(app) {
  return {
    database: { dialect: app.database.dialect },
    version: app.faults.version(app.version),
    lang: "en-US",
    name: "main",
    theme: "default",
  };
}

async function signIn(app, { account = "", password = "" }) {
  const found = await app.database.query(
    'SELECT * FROM "users" WHERE "email" = ? OR "username" = ?',
    [account, account],
  );
  if (!found.length || !matches(password, found[0].password)) {
    throw new Refused(401, "The username/email or password is incorrect, please re-enter");
  }
  const { jti, token } = issue(Number(found[0].id), app.env.APP_KEY || "test-jwt-secret");
  const columns = isSince(app.version, SPLIT_AT)
    ? '"jti", "userId", "issuedBy"'
    : '"jti", "userId"';
  const values = [jti, found[0].id, app.version].slice(0, columns.split(",").length);
  await app.database.query(
    `INSERT INTO "issuedTokens" (${columns}) VALUES (${values.map(() => "?").join(", ")})`,
    values,
  );
  return { user: shown(found[0]), token };
}

async function currentUser(app, request) {
  const token = (request.headers.authorization || "").replace(/^Bearer /i, "");
  if (!token) throw unauthenticated();
  const claims = verify(token, app.env.APP_KEY || "test-jwt-secret");
  if (!claims)
    throw new Refused(401, "Your session has expired. Please sign in again.", "INVALID_TOKEN");
  const [user] = await app.database.query('SELECT * FROM "users" WHERE "id" = ?', [claims.userId]);
  if (!user) throw unauthenticated();
  return shown(user);
}

async function turnPlugins(app, request, enabled) {
  await currentUser(app, request);
  const keys = new URL(request.url, "http://app").searchParams.get("filterByTk") || "";
  if (!keys) throw new Refused(400, "plugin name invalid");
  await app.switch.turn(keys.split(","), enabled);
  return keys;
}

async function listNotes(app) {
  const rows = await app.database.query(`SELECT ${noteColumns(app)} FROM "notes" ORDER BY "id"`);
  return rows.map((row) => ({ ...row, id: Number(row.id) }));
}

// A note comes in as one text; how it is kept is the version's own business.
async function addNote(app, { text = "" }) {
  const [title, ...rest] = String(text).split("\n");
  const split = isSince(app.version, SPLIT_AT);
  const sql = split
    ? 'INSERT INTO "notes" ("title", "body") VALUES (?, ?)'
    : 'INSERT INTO "notes" ("text") VALUES (?)';
  const values = split ? [title, rest.join("\n")] : [String(text)];
  const [row] = await app.database.query(sql + app.database.returning, values);
  return { id: Number(row.id) };
}

function storageOf(app, request) {
  const { pathname } = new URL(request.url, "http://app");
  const found = app.storages.find(decodeURIComponent(pathname.split("/").pop()));
  if (!found) throw new Refused(404, "Not Found");
  return found;
}

function filterOf(request) {
  return JSON.parse(new URL(request.url, "http://app").searchParams.get("filter"));
}

const noteColumns = (app) =>
  isSince(app.version, SPLIT_AT) ? '"id", "title", "body"' : '"id", "text"';

const shown = ({ id, nickname, username, email }) => ({
  id: Number(id),
  nickname,
  username,
  email,
});

async function read(request) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > BODY_LIMIT) throw new Refused(413, "Request Entity Too Large");
  }
  try {
    return JSON.parse(text || "{}");
  } catch {
    throw new Refused(400, "The body is not JSON");
  }
}

function answer(response, status, content) {
  response.statusCode = status;
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(content));
}

module.exports = { createApi };
