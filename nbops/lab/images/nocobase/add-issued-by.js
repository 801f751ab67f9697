// The migration of the next version: every issued token says which release issued it.
// Old rows take it from the version in the database; from then on the column must be
// filled, which the release before does not do: put back without its database, it can
// sign nobody in.
const { Migration } = require("@nocobase/server");
const { DataTypes } = require("@nocobase/database");

module.exports = class extends Migration {
  on = "afterSync";
  appVersion = "<2.2.16";

  async up() {
    if (process.env.LAB_FAULT === "die-in-migration") {
      throw new Error("LAB_FAULT=die-in-migration: the migration fails on purpose");
    }
    const tokens = this.db.getCollection("issuedTokens");
    const version = await this.app.version.get();
    await tokens.model.update({ issuedBy: version }, { where: {}, silent: true });
    await this.db.sequelize
      .getQueryInterface()
      .changeColumn(tokens.getTableNameWithSchema(), tokens.getField("issuedBy").columnName(), {
        type: DataTypes.STRING,
        allowNull: false,
      });
  }
};
