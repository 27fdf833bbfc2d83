// Reads a run with npm's apache-arrow, by what docs/run-format.md says and nothing else, and prints all that is in it as
// JSON: integers of 64 bits as strings, floats as their bits, bytes as hexadecimal digits.
//
//	node read.mjs RUN
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";

const bits = (floats) => Array.from(new Uint32Array(floats.slice().buffer));
const cells = {
  id: (v) => v.toString(),
  label: (v) => v,
  clean_label: (v) => v,
  preview: (v) => Buffer.from(v).toString("hex"),
  logits: (v) => bits(v.toArray()),
};

function read(path) {
  const table = tableFromIPC(readFileSync(path));
  const columns = {};
  for (const { name, type, nullable } of table.schema.fields) {
    const column = table.getChild(name);
    columns[name] = { type: type.toString(), nullable, nulls: column.nullCount, values: Array.from(column, cells[name]) };
  }
  return { rows: table.numRows, batches: table.batches.length, columns };
}

const run = process.argv[2];
const manifest = JSON.parse(readFileSync(join(run, "manifest.json"), "utf8"));
const folder = (at) => Object.fromEntries(manifest.splits.map(({ name }) => [name, read(join(run, at, `${name}.arrow`))]));
const epochs = {};
for (const name of readdirSync(join(run, "epochs")).filter((name) => /^\d{6,}$/.test(name)).sort()) {
  const { epoch } = JSON.parse(readFileSync(join(run, "epochs", name, "epoch.json"), "utf8"));
  epochs[epoch] = folder(join("epochs", name));
}
console.log(JSON.stringify({ name: manifest.name, classes: manifest.classes, samples: folder("samples"), epochs }));
