// Says which of the files named are not ECMAScript 5, and where: a line each. Its status is then 1.
"use strict";

const fs = require("node:fs");
const acorn = require("acorn");

for (const path of process.argv.slice(2)) {
  try {
    acorn.parse(fs.readFileSync(path, "utf8"), { ecmaVersion: 5 });
  } catch (error) {
    process.stdout.write(`${path}: ${error.message}\n`);
    process.exitCode = 1;
  }
}
