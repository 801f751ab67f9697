// Redis' publish and subscribe, and no more: one connection that opens itself again, signs
// in as its address says, and listens anew to what it was told to listen to.
const net = require("node:net");
const tls = require("node:tls");

const AGAIN_MS = 500;

function createClient(address, failed) {
  const url = new URL(address);
  const secure = url.protocol === "rediss:";
  const place = { host: url.hostname, port: Number(url.port) || 6379 };
  const heard = new Map();
  let closed = false;
  let socket;

  function open() {
    if (closed) return;
    socket = (secure ? tls : net).connect({ ...place, servername: secure ? place.host : undefined });
    const read = reader((message) => {
      if (message instanceof Error) failed(message);
      if (Array.isArray(message) && message[0] === "message") heard.get(message[1])?.(message[2]);
    });
    socket.once(secure ? "secureConnect" : "connect", () => {
      const user = decodeURIComponent(url.username);
      const password = decodeURIComponent(url.password);
      if (password) send("AUTH", ...(user ? [user, password] : [password]));
      for (const channel of heard.keys()) send("SUBSCRIBE", channel);
    });
    socket.on("data", read);
    socket.on("error", failed);
    socket.on("close", () => setTimeout(open, AGAIN_MS).unref());
  }

  function send(...words) {
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    socket.write(`*${words.length}\r\n${parts.join("")}`);
  }

  open();
  return {
    publish: (channel, text) => send("PUBLISH", channel, text),
    subscribe(channel, hear) {
      heard.set(channel, hear);
      if (socket.readyState === "open") send("SUBSCRIBE", channel);
    },
    close() {
      closed = true;
      socket.destroy();
    },
  };
}

// Takes bytes as they come, and gives every whole answer (https://redis.io/docs/latest/develop/reference/protocol-spec/).
function reader(give) {
  let bytes = Buffer.alloc(0);
  return (more) => {
    bytes = Buffer.concat([bytes, more]);
    for (let found = parse(bytes, 0); found; found = parse(bytes, 0)) {
      bytes = bytes.subarray(found.end);
      give(found.value);
    }
  };
}

function parse(bytes, at) {
  const line = bytes.indexOf("\r\n", at);
  if (line < 0) return null;
  const end = line + 2;
  const text = bytes.toString("utf8", at + 1, line);
  switch (String.fromCharCode(bytes[at])) {
    case "-":
      return { value: new Error(text), end };
    case "$": {
      const size = Number(text);
      if (size < 0) return { value: null, end };
      if (bytes.length < end + size + 2) return null;
      return { value: bytes.toString("utf8", end, end + size), end: end + size + 2 };
    }
    case "*":
      return parseAll(bytes, end, Number(text));
    default:
      return { value: text, end };
  }
}

function parseAll(bytes, at, count) {
  const value = [];
  let end = at;
  while (value.length < count) {
    const one = parse(bytes, end);
    if (!one) return null;
    value.push(one.value);
    end = one.end;
  }
  return { value, end };
}

module.exports = { createClient };
