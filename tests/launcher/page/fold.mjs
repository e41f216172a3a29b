// Folds the events of a file, one JSON object a line, and prints the state after each asked number
// of them, one JSON object a line.
//
// usage: node fold.mjs STATIC EVENTS PLACE... (in any order, so that keyframes are used both ways)

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [, , folder, file, ...places] = process.argv;
const { History } = await import(pathToFileURL(resolve(folder, "history.js")).href);
const history = new History();
const lines = readFileSync(file, "utf8").split("\n").filter((line) => line);
history.add(lines.map((line) => JSON.parse(line)));
if (process.env.TRIM) {
  const before = JSON.stringify(history.at(history.length));
  const forgotten = history.trim(Number(process.env.TRIM), Number(process.env.TRIM));
  if (JSON.stringify(history.at(history.length)) !== before) throw new Error("trimmed wrongly");
  if (history.placeAt(Infinity) !== history.length) throw new Error("places are wrong");
  console.log(forgotten);
}
for (const place of places) console.log(JSON.stringify(history.at(Number(place))));
