// Failures on demand, by SAMPLE_FAULT:
//   die-at-start        ends before it listens
//   die-in-migration    ends when half of a migration is done
//   die-after-healthy   ends two seconds after its health answer was 200
//   wrong-version       says that it is another version than it is
//   slow-start=SECONDS  stays in its start-up state for so long
//   hang                stays in its start-up state for ever
//   no-adapters         is an image without the plugins of APPEND_PRESET_BUILT_IN_PLUGINS
//   deaf                has them, and hears nothing of what other nodes tell
const KNOWN =
  /^(|die-at-start|die-in-migration|die-after-healthy|wrong-version|slow-start=\d+|hang|no-adapters|deaf)$/;
const DIES_AFTER_MS = 2000;

function createFaults(wanted = "", log) {
  if (!KNOWN.test(wanted)) throw new Error(`SAMPLE_FAULT=${wanted} is not a known fault`);
  const [fault, seconds] = wanted.split("=");
  const die = () => {
    log.say(`dying: SAMPLE_FAULT=${fault}`);
    process.exit(1);
  };
  return {
    deaf: fault === "deaf",
    noAdapters: fault === "no-adapters",
    at(moment) {
      if (fault === "die-at-start" && moment === "start") die();
      if (fault === "die-in-migration" && moment === "migration") die();
      if (fault === "die-after-healthy" && moment === "healthy") setTimeout(die, DIES_AFTER_MS);
    },
    async whileLoading(state, plugins) {
      if (fault !== "hang" && fault !== "slow-start") return;
      const until = fault === "hang" ? Infinity : Date.now() + Number(seconds) * 1000;
      state.busy(`load plugin [${plugins[2]}], 3/${plugins.length}`);
      while (Date.now() < until) await new Promise((done) => setTimeout(done, 50));
    },
    version: (real) => (fault === "wrong-version" ? "0.0.1" : real),
  };
}

module.exports = { createFaults };
