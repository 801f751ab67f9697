// A part of nbops' rehearsal lab; never for production. Messages between the nodes by
// Redis' publish and subscribe, in the place of NocoBase's commercial plugin.
const { Plugin } = require("@nocobase/server");
const { connect, disconnect, replace } = require("./connect");

class RedisPubSub {
  constructor(url, logger) {
    this.url = url;
    this.logger = logger;
  }

  isConnected() {
    return Boolean(this.publisher?.isReady && this.subscriber?.isReady);
  }

  async connect() {
    if (this.publisher) return;
    this.publisher = await connect(this.url, "nbops-lab-publisher", this.logger);
    this.subscriber = await connect(this.url, "nbops-lab-subscriber", this.logger);
  }

  async close() {
    const { publisher, subscriber } = this;
    this.publisher = this.subscriber = undefined;
    await Promise.all([disconnect(publisher), disconnect(subscriber)]);
  }

  async subscribe(channel, callback) {
    await this.subscriber.subscribe(channel, callback);
  }

  async unsubscribe(channel, callback) {
    if (this.isConnected()) await this.subscriber.unsubscribe(channel, callback);
  }

  async publish(channel, message) {
    await this.publisher.publish(channel, message);
  }
}

module.exports = class extends Plugin {
  afterAdd() {
    const url = process.env.PUBSUB_ADAPTER_REDIS_URL || "redis://localhost:6379/0";
    const adapter = new RedisPubSub(url, this.app.logger);
    this.app.pubSubManager.setAdapter(replace(this.app, "pubsub", adapter, (old) => old.close()));
  }
};
