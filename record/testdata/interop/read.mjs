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
  logits: (v) => numbers(v.toArray()),
};
const numbers = (row) => (row instanceof Uint16Array ? Array.from(row) : bits(row)); // float16 comes as its bits
const cell = (v) => (Number.isInteger(v) ? v : `${v}`);

function read(path) {
  const table = tableFromIPC(readFileSync(path));
  const columns = {};
  for (const { name, type, nullable } of table.schema.fields) {
    const column = table.getChild(name);
    columns[name] = { type: type.toString(), nullable, nulls: column.nullCount, values: Array.from(column, cells[name] ?? cell) };
  }
  return { rows: table.numRows, batches: table.batches.length, columns };
}

const run = process.argv[2];
const manifest = JSON.parse(readFileSync(join(run, "manifest.json"), "utf8"));
const folder = (at) => Object.fromEntries(manifest.splits.map(({ name }) => [name, read(join(run, at, `${name}.arrow`))]));
// Every file that an epoch of format 3 names, under its name without .arrow.
function parts(at, splits) {
  const files = {};
  const add = (name) => (files[name] = read(join(at, `${name}.arrow`)));
  for (const { name, parts = [], samples } of splits) {
    parts.forEach(({ rows, stats }, i) => {
      const part = i ? `${name}.${i}` : name;
      if (rows) add(part);
      if (stats) add(`${part}.stats`);
    });
    if (samples) add(`${name}.samples`);
  }
  return files;
}

const epochs = {};
for (const name of readdirSync(join(run, "epochs")).filter((name) => /^\d{6,}$/.test(name)).sort()) {
  const { epoch, splits } = JSON.parse(readFileSync(join(run, "epochs", name, "epoch.json"), "utf8"));
  epochs[epoch] = manifest.format_version < 3 ? folder(join("epochs", name)) : parts(join(run, "epochs", name), splits);
}
console.log(JSON.stringify({ name: manifest.name, classes: manifest.classes, samples: folder("samples"), epochs }));
