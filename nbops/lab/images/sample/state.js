// The state of the app as its health answer tells it, in NocoBase's words.
class State {
  constructor() {
    this.current = commanding("");
  }

  get running() {
    return this.current.status === 200;
  }

  busy(message) {
    this.current = commanding(message);
  }

  run() {
    this.current = {
      status: 200,
      maintaining: false,
      message: "application main is running",
      code: "APP_RUNNING",
    };
  }

  fail(error) {
    const code = error.code === "APP_NOT_INSTALLED_ERROR" ? error.code : "APP_ERROR";
    const message = error.message || String(error);
    this.current = { status: 503, maintaining: true, message, command: { name: "start" }, code };
  }

  notInstalled() {
    const text =
      "Application main is not installed, Please run 'yarn nocobase install' command first";
    return Object.assign(new Error(text), { code: "APP_NOT_INSTALLED_ERROR" });
  }

  // What the websocket says of it.
  told() {
    return { code: this.current.code, message: this.current.message };
  }
}

function commanding(message) {
  const command = { name: "start" };
  return { status: 503, maintaining: true, message, command, code: "APP_COMMANDING" };
}

module.exports = { State };
