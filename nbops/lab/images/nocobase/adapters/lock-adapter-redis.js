// A part of nbops' rehearsal lab; never for production. Locks that all nodes share, in the
// place of NocoBase's commercial plugin: one key of a Redis for each lock, which goes away
// by itself when its time is over.
const { randomUUID } = require("node:crypto");
const { setTimeout: sleep } = require("node:timers/promises");
const { LockAcquireError } = require("@nocobase/lock-manager");
const { Plugin } = require("@nocobase/server");
const { connect, disconnect } = require("./connect");

const PREFIX = "nbops-lab:lock:";
const RESERVED_MS = 60000;
const PAUSE_MS = 25;
const OWN = 'if redis.call("get", KEYS[1]) == ARGV[1] then return ';
const RELEASE = `${OWN}redis.call("del", KEYS[1]) end return 0`;
const EXTEND = `${OWN}redis.call("pexpire", KEYS[1], ARGV[2]) end return 0`;

class RedisLock {
  constructor({ url, logger }) {
    this.url = url;
    this.logger = logger;
  }

  async connect() {
    this.client = await connect(this.url, "nbops-lab-lock", this.logger);
  }

  async close() {
    await disconnect(this.client);
  }

  async acquire(key, ttl) {
    const token = await this.take(key, ttl, Infinity);
    return () => this.release(key, token);
  }

  async runExclusive(key, work, ttl) {
    const release = await this.acquire(key, ttl);
    try {
      return await work();
    } finally {
      await release();
    }
  }

  async tryAcquire(key, timeout = 0) {
    const token = await this.take(key, RESERVED_MS, timeout);
    const extend = async (ttl) => {
      const keep = { keys: [PREFIX + key], arguments: [token, String(ttl)] };
      if (!(await this.client.eval(EXTEND, keep))) throw new LockAcquireError("lock is not active");
    };
    const release = () => this.release(key, token);
    const acquire = async (ttl) => {
      await extend(ttl);
      return release;
    };
    const runExclusive = async (work, ttl) => {
      await extend(ttl);
      try {
        return await work();
      } finally {
        await release();
      }
    };
    return { acquire, extend, release, runExclusive };
  }

  async take(key, ttl, patience) {
    const token = randomUUID();
    const until = Date.now() + patience;
    const free = () => this.client.set(PREFIX + key, token, { condition: "NX", PX: Math.ceil(ttl) });
    while (!(await free())) {
      if (Date.now() >= until) throw new LockAcquireError("lock is locked");
      await sleep(PAUSE_MS);
    }
    return token;
  }

  async release(key, token) {
    await this.client.eval(RELEASE, { keys: [PREFIX + key], arguments: [token] });
  }
}

module.exports = class extends Plugin {
  afterAdd() {
    const url = process.env.LOCK_ADAPTER_REDIS_URL || "redis://localhost:6379/0";
    const options = { url, logger: this.app.logger };
    this.app.lockManager.registerAdapter("redis", { Adapter: RedisLock, options });
  }
};
