// PostgreSQL and MariaDB (or MySQL) behind one small face: SQL in the standard's quotes,
// `?` for parameters, rows as objects.
async function connect(env) {
  const options = {
    host: env.DB_HOST || "localhost",
    database: env.DB_DATABASE,
    user: env.DB_USER,
    password: env.DB_PASSWORD,
  };
  const open = { postgres: postgres, mariadb: mysql, mysql: mysql }[env.DB_DIALECT];
  if (!open) throw new Error(`DB_DIALECT=${env.DB_DIALECT || ""} is not supported`);
  const database = open({ ...options, port: Number(env.DB_PORT) || undefined });
  await reach(database);
  return { ...database, dialect: env.DB_DIALECT, createIfMissing: creator(database) };
}

// NocoBase tries ten times, waiting 1, 2, 4… and at most 30 seconds; this, a tenth of that.
async function reach(database) {
  for (let attempt = 1, delay = 100; ; attempt += 1, delay = Math.min(delay * 2, 3000)) {
    try {
      return await database.query("SELECT 1");
    } catch (error) {
      if (attempt === 10) {
        throw new Error(`Unable to connect to the database: ${error.message || error.code}`);
      }
      await new Promise((done) => setTimeout(done, delay));
    }
  }
}

function postgres(options) {
  const pool = new (require("pg").Pool)({ ...options, max: 5, connectionTimeoutMillis: 5000 });
  pool.on("error", () => undefined); // an idle connection broke; the next query opens another
  return {
    types: { id: "BIGSERIAL PRIMARY KEY", time: "TIMESTAMP WITH TIME ZONE", json: "JSON" },
    notNull: (table, column) => `ALTER TABLE "${table}" ALTER COLUMN "${column}" SET NOT NULL`,
    returning: ' RETURNING "id"',
    async query(sql, values = []) {
      let n = 0;
      const text = sql.replace(/\?/g, () => `$${(n += 1)}`);
      return (await pool.query(text, values)).rows;
    },
    close: () => pool.end(),
  };
}

function mysql(options) {
  const pool = require("mysql2/promise").createPool({
    ...options,
    connectionLimit: 5,
    connectTimeout: 5000,
  });
  pool.on("connection", (opened) =>
    opened.query("SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')"),
  );
  return {
    types: { id: "BIGINT AUTO_INCREMENT PRIMARY KEY", time: "DATETIME(3)", json: "JSON" },
    notNull: (table, column) => `ALTER TABLE "${table}" MODIFY "${column}" VARCHAR(255) NOT NULL`,
    returning: "",
    async query(sql, values = []) {
      const [rows] = await pool.query(sql, values);
      return Array.isArray(rows) ? rows : [{ id: rows.insertId }];
    },
    close: () => pool.end(),
  };
}

// Two nodes may make the same table at once, and one of them is told that it exists.
function creator(database) {
  return async (table, columns) => {
    const sql = `CREATE TABLE IF NOT EXISTS "${table}" (${columns})`;
    await database.query(sql).catch(() => database.query(sql));
  };
}

module.exports = { connect };
