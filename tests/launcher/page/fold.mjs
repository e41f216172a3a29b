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
for (const place of places) console.log(JSON.stringify(history.at(Number(place))));
