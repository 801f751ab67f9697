// A part of nbops' rehearsal lab; never for production. The queue of work that any node may
// take, in the place of NocoBase's commercial plugin: a list in Redis for each channel.
const { randomUUID } = require("node:crypto");
const { setTimeout: sleep } = require("node:timers/promises");
const { Plugin } = require("@nocobase/server");
const { connect, disconnect, replace } = require("./connect");

const PREFIX = "nbops-lab:queue:";
const PAUSE_MS = 250;
const TIMEOUT_MS = 15000;

class RedisQueue {
  constructor(url, logger) {
    this.url = url;
    this.logger = logger;
    this.channels = new Map();
    this.atWork = new Set();
  }

  isConnected() {
    return Boolean(this.client?.isReady);
  }

  async connect() {
    if (this.client) return;
    this.client = await connect(this.url, "nbops-lab-queue", this.logger);
    for (const channel of this.channels.keys()) this.consume(channel);
  }

  async close() {
    const { client } = this;
    this.client = undefined;
    await Promise.allSettled(this.atWork);
    await disconnect(client);
  }

  subscribe(channel, options) {
    if (this.channels.has(channel)) return;
    this.channels.set(channel, options);
    if (this.client) this.consume(channel);
  }

  unsubscribe(channel) {
    this.channels.delete(channel);
  }

  async publish(channel, content, options = {}) {
    const message = JSON.stringify({ id: randomUUID(), content, options });
    await this.client.lPush(PREFIX + channel, message);
  }

  async consume(channel) {
    const options = this.channels.get(channel);
    const { client } = this;
    const most = options.concurrency > 0 ? options.concurrency : Infinity;
    let running = 0;
    while (this.client === client && this.channels.get(channel) === options) {
      const ready = running < most && options.idle();
      const text = ready && (await client.rPop(PREFIX + channel).catch(() => null));
      if (!text) {
        await sleep(options.interval || PAUSE_MS);
        continue;
      }
      running += 1;
      const work = this.process(channel, options, JSON.parse(text)).finally(() => {
        running -= 1;
        this.atWork.delete(work);
      });
      this.atWork.add(work);
    }
  }

  async process(channel, { process: work }, { id, content, options }) {
    const { timeout = TIMEOUT_MS, maxRetries = 0, retried = 0 } = options;
    const signal = AbortSignal.timeout(timeout);
    try {
      await work(content, { id, retried, signal, queueOptions: options });
    } catch (error) {
      this.logger.error(`[nbops-lab-queue] ${channel}: ${error.message}`);
      if (retried < maxRetries && this.client) {
        await this.publish(channel, content, { ...options, retried: retried + 1 });
      }
    }
  }
}

module.exports = class extends Plugin {
  afterAdd() {
    if (process.env.QUEUE_ADAPTER !== "redis") return;
    const url = process.env.QUEUE_ADAPTER_REDIS_URL || "redis://localhost:6379/0";
    const adapter = new RedisQueue(url, this.app.logger);
    this.app.eventQueue.setAdapter(replace(this.app, "queue", adapter, (old) => old.close()));
  }
};
