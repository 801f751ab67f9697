// The collection of plugin-auth in the next version: one column more, `issuedBy`, filled
// by a hook, because a default in the database would fill it for the release before, too.
const { defineCollection } = require("@nocobase/database");
const { version } = require("@nocobase/server/package.json");

module.exports = defineCollection({
  name: "issuedTokens",
  dataCategory: "business",
  migrationRules: ["schema-only"],
  autoGenId: false,
  createdAt: true,
  updatedAt: true,
  hooks: {
    beforeCreate: (token) => token.set("issuedBy", version),
  },
  fields: [
    { name: "id", type: "uuid", primaryKey: true, allowNull: false, interface: "input" },
    { name: "signInTime", type: "bigInt", allowNull: false },
    { name: "jti", type: "uuid", allowNull: false, index: true },
    { name: "issuedTime", type: "bigInt", allowNull: false },
    { name: "userId", type: "bigInt", allowNull: false },
    { name: "authenticator", type: "string", index: true },
    { name: "issuedBy", type: "string" },
  ],
});
