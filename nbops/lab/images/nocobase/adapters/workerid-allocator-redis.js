// A part of nbops' rehearsal lab; never for production. Gives every process a number from 0
// to 31 that no other has, in the place of NocoBase's commercial plugin.
const { randomUUID } = require("node:crypto");
const { Plugin } = require("@nocobase/server");
const { connect, disconnect, replace } = require("./connect");

const NUMBERS = 32;
const KEPT_MS = 60000;
const OWN = 'if redis.call("get", KEYS[1]) == ARGV[1] then return ';
const RELEASE = `${OWN}redis.call("del", KEYS[1]) end return 0`;

class RedisNumbers {
  constructor(url, app) {
    this.url = url;
    this.app = app;
    this.token = randomUUID();
  }

  async getWorkerId() {
    this.client = await connect(this.url, "nbops-lab-worker-id", this.app.logger);
    for (let number = 0; number < NUMBERS; number += 1) {
      const key = `nbops-lab:worker-id:${this.app.name}:${number}`;
      if (await this.client.set(key, this.token, { condition: "NX", PX: KEPT_MS })) {
        this.key = key;
        this.timer = setInterval(() => this.keep(), KEPT_MS / 3).unref();
        return number;
      }
    }
    throw new Error(`all ${NUMBERS} worker ids are taken`);
  }

  keep() {
    const { logger } = this.app;
    this.client
      .set(this.key, this.token, { PX: KEPT_MS })
      .catch((error) => logger.error(`[nbops-lab-worker-id] ${error.message}`));
  }

  async release() {
    clearInterval(this.timer);
    if (!this.client?.isReady) return;
    await this.client.eval(RELEASE, { keys: [this.key], arguments: [this.token] });
    await disconnect(this.client);
  }
}

module.exports = class extends Plugin {
  afterAdd() {
    const url = process.env.REDIS_URL;
    if (!url) return;
    const adapter = new RedisNumbers(url, this.app);
    const end = (old) => old.release();
    this.app.workerIdAllocator.setAdapter(replace(this.app, "worker-id", adapter, end));
  }
};
