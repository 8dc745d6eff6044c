// Saving what a page shows as a file: tables as CSV, charts as PNG.

import { element } from "./dom.js";

const GAP = 12;
const LINE = 20;

/** A button that saves a table. `table()` answers `{name, head, rows}`: exact values, null for none. */
export function csvButton(words, table) {
  return element("button", { type: "button", class: "quiet small", on: { click: () => saveCsv(table()) } }, "CSV", element("span", { class: "sr" }, ` of ${words}`));
}

/** The text of a CSV file (RFC 4180). Text that a spreadsheet would take for a formula begins with an apostrophe. */
export function csvOf(head, rows) {
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function cell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function saveCsv({ name, head, rows }) {
  save(`${name}.csv`, new Blob([csvOf(head, rows)], { type: "text/csv;charset=utf-8" }));
}

/**
 * Save a chart as it is drawn, in the theme that is shown, with its words around it.
 *
 * @param {string} name of the file, without its ending
 * @param {HTMLCanvasElement} drawing
 * @param {number} width of the drawing on the page, in pixels
 * @param {{title: string, caption: string, legend: Array<{label: string, colour: string, dash: Array<number>}>}} words
 * @param {function(string): string} colour of a custom property
 */
export async function savePng(name, drawing, width, { title, caption, legend }, colour) {
  const scale = drawing.width / width;
  const height = drawing.height / scale;
  const canvas = element("canvas", { width: Math.round((width + 2 * GAP) * scale), height: Math.round((height + 3 * LINE + 3 * GAP) * scale) });
  const pen = canvas.getContext("2d");
  const family = getComputedStyle(document.body).fontFamily;
  pen.scale(scale, scale);
  pen.fillStyle = colour("--surface");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.textBaseline = "middle";
  const write = (text, x, line, tone, font) => {
    [pen.fillStyle, pen.font] = [colour(tone), `${font} ${family}`];
    pen.fillText(text, x, line, width - x + GAP);
  };
  write(title, GAP, GAP + LINE / 2, "--text", "600 15px");
  write(caption, GAP, GAP + 1.5 * LINE, "--muted", "12.5px");
  pen.drawImage(drawing, GAP, GAP + 2 * LINE + GAP / 2, width, height);
  let place = GAP;
  for (const { label, colour: line, dash = [] } of legend) {
    const middle = height + 2.5 * LINE + 2 * GAP;
    [pen.strokeStyle, pen.lineWidth] = [colour(line), 2.5];
    pen.setLineDash(dash);
    pen.beginPath();
    pen.moveTo(place, middle);
    pen.lineTo(place + 22, middle);
    pen.stroke();
    write(label, place + 29, middle, "--text", "12.5px");
    place += 29 + pen.measureText(label).width + 2 * GAP;
  }
  save(`${name}.png`, await new Promise((done) => canvas.toBlob(done, "image/png")));
}

function save(name, blob) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name.replace(/[^\w.-]+/g, "-") }).click();
  // Not at once: the browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
