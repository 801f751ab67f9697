// Passwords, salted and hashed; and tokens: JSON Web Tokens signed with APP_KEY (HS256).
const crypto = require("node:crypto");

const DAY_S = 86400;

function hash(password) {
  const salt = crypto.randomBytes(16).toString("hex");
  return `${salt}:${crypto.scryptSync(password, salt, 32).toString("hex")}`;
}

function matches(password, stored) {
  const [salt, expected] = stored.split(":");
  const found = crypto.scryptSync(password, salt, 32);
  return crypto.timingSafeEqual(found, Buffer.from(expected, "hex"));
}

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

const sign = (text, key) => crypto.createHmac("sha256", key).update(text).digest("base64url");

function issue(userId, key) {
  const now = Date.now();
  const jti = crypto.randomUUID();
  const iat = Math.floor(now / 1000);
  const claims = { userId, temp: true, iat, signInTime: now, exp: iat + DAY_S, jti };
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return { jti, token: `${text}.${sign(text, key)}` };
}

// The claims of a token that was signed with this key and holds still, or null.
function verify(token, key) {
  const [head, body, signature = ""] = token.split(".");
  const expected = Buffer.from(sign(`${head}.${body}`, key));
  const found = Buffer.from(signature);
  if (found.length !== expected.length || !crypto.timingSafeEqual(found, expected)) return null;
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  return claims.exp > Date.now() / 1000 ? claims : null;
}

module.exports = { hash, issue, matches, verify };
