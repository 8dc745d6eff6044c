// How good the best model is: metrics, confusion matrix, classes, curves, residuals and the worst mistakes.

import { get } from "./api.js";
import { byId, element, replace } from "./dom.js";
import { counted, metric, number } from "./format.js";
import { csvButton } from "./save.js";
import { calibrationPlot, histogramPlot, pairsPlot, rocPlot } from "./small_plots.js";

// A table of more classes is read as a list of confusions.
const MOST_IN_MATRIX = 30;
const MOST_CONFUSIONS = 20;
// Smaller pictures are shown larger than they are, and keep their pixels.
const SHOWN_HEIGHT = 72;

/** Show the evaluation of a job; `node` stays hidden where there is none. */
export async function showEvaluation(node, jobId) {
  const evaluation = await get(`/jobs/${jobId}/evaluation`).catch(whereNone);
  if (!evaluation) return;
  const job = byId("job").dataset.job;
  const head = element("div", { class: "card-head" }, element("h2", {}, "Evaluation"),
    element("span", { class: "muted small" }, `model of epoch ${number(evaluation.epoch)}${evaluation.checkpoint ? `, ${evaluation.checkpoint}` : ""}`));
  const parts = [["Validation", evaluation.validation], ["Test", evaluation.test]].filter(([, part]) => part);
  replace(node, head, parts.map(([name, part]) => partOf(job, name, part)));
  node.hidden = false;
}

function whereNone(problem) {
  if (problem.status === 404) return null;
  throw problem;
}

function partOf(job, name, part) {
  const rows = part.rows === part.of ? counted(part.rows, "row") : `a sample of ${number(part.rows)} of ${counted(part.of, "row")}`;
  const metrics = Object.entries(part.metrics).map(([label, value]) => element("div", { class: "fact" }, element("dt", {}, label.replaceAll("_", " ")), element("dd", {}, metric(value))));
  return element("section", { class: "evaluated", "aria-label": `Evaluation on the ${name.toLowerCase()} part` },
    element("h3", {}, `${name} part`, element("span", { class: "muted small" }, ` ${rows}`), csvButtons(job, name.toLowerCase(), part)),
    element("dl", { class: "facts small-facts" }, metrics),
    part.classes ? classesOf(name, part) : null,
    plotsOf(part),
    mistakesOf(name, part));
}

/** The tables of a part with their exact values. */
function csvButtons(job, name, part) {
  const file = (kind, head, rows) => ({ name: `${job}-${name}-${kind}`, head, rows });
  const button = (kind, words, head, rows) => element("span", { class: "csv" }, words, csvButton(`${words.toLowerCase()} of the ${name} part`, () => file(kind, head, rows())));
  const names = part.classes?.map((one) => one.name);
  const plain = (value) => (Array.isArray(value) ? value.join(" ") : value);
  return element("span", { class: "csv-buttons small" },
    part.confusion && button("confusion", "Confusion matrix", ["true", ...names], () => part.confusion.map((row, index) => [names[index], ...row])),
    part.classes && button("classes", "Classes", ["class", "support", "predicted", "precision", "recall", "f1"], () => part.classes.map((one) => [one.name, one.support, one.predicted, one.precision, one.recall, one.f1])),
    part.mistakes.length ? button("mistakes", "Mistakes", ["row", "true", "predicted", "probability", "loss"], () => part.mistakes.map((one) => [one.row, plain(one.true), plain(one.predicted), one.probability, one.loss])) : null);
}

function plotsOf({ roc, calibration, residuals }) {
  const plots = [roc && rocPlot(roc), calibration && calibrationPlot(calibration), residuals && histogramPlot(residuals), residuals && pairsPlot(residuals.pairs)].filter(Boolean);
  return plots.length ? element("div", { class: "small-plots" }, plots) : null;
}

function classesOf(name, part) {
  const isMatrix = part.confusion && part.classes.length <= MOST_IN_MATRIX;
  return element("div", { class: "evaluated-classes" },
    isMatrix ? matrixOf(name, part) : confusionsOf(name, part),
    tableOf(`Classes of the ${name.toLowerCase()} part`, ["Class", "Support", "Predicted", "Precision", "Recall", "F1"], part.classes.map((one) => [
      String(one.name), number(one.support), number(one.predicted), metric(one.precision), metric(one.recall), metric(one.f1),
    ])));
}

function matrixOf(name, part) {
  const names = part.classes.map((one) => String(one.name));
  const head = element("tr", {}, element("th", { scope: "col", class: "corner" }, "true \\ predicted"), names.map((one) => element("th", { scope: "col", class: "num" }, one)));
  const rows = part.confusion.map((row, index) => {
    const sum = row.reduce((one, other) => one + other, 0);
    return element("tr", {}, element("th", { scope: "row" }, names[index]), row.map((count, place) => cell(count, sum, place === index)));
  });
  return scrolled(`Confusion matrix of the ${name.toLowerCase()} part`, "confusion", element("thead", {}, head), element("tbody", {}, rows));
}

function cell(count, sum, isRight) {
  const share = sum ? count / sum : 0;
  const colour = `color-mix(in srgb, var(${isRight ? "--good" : "--bad"}) ${Math.round(share * 30)}%, var(--surface))`;
  return element("td", { class: count ? "num" : "num muted", style: count ? { background: colour } : {}, title: sum ? `${Math.round(share * 100)} % of this class` : null }, number(count));
}

function confusionsOf(name, part) {
  const rows = part.most_confused.slice(0, MOST_CONFUSIONS).map((one) => [String(part.classes[one.true].name), String(part.classes[one.predicted].name), number(one.rows)]);
  return tableOf(`Most confused classes of the ${name.toLowerCase()} part`, ["True", "Predicted", "Rows"], rows, [2]);
}

function mistakesOf(name, part) {
  if (!part.mistakes.length) return element("p", { class: "muted" }, "All rows are predicted correctly.");
  const isNumber = Boolean(part.residuals);
  const words = isNumber ? "Largest errors" : "Worst mistakes";
  const names = ["Row", "True", "Predicted", ...(isNumber ? ["Error"] : ["Probability", "Loss"])];
  const shown = part.mistakes.some((one) => one.thumbnail)
    ? element("div", { class: "thumbnails", tabindex: "0", role: "region", "aria-label": `${words} of the ${name.toLowerCase()} part` }, part.mistakes.map(figureOf))
    : tableOf(`${words} of the ${name.toLowerCase()} part`, names, part.mistakes.map((one) => [
      number(one.row), valueOf(one.true), valueOf(one.predicted), ...(isNumber ? [] : [metric(one.probability)]), metric(one.loss),
    ]), [0, 3, 4]);
  return element("div", {}, element("h4", {}, words, element("span", { class: "muted small" }, " rows of the dataset, or of a script's validation data, count from 0")), shown);
}

function figureOf(one) {
  const words = `row ${number(one.row)}: ${valueOf(one.true)}, predicted ${valueOf(one.predicted)} with ${metric(one.probability)}`;
  const image = element("img", { src: one.thumbnail, alt: words });
  image.addEventListener("load", () => image.classList.toggle("enlarged", image.naturalHeight < SHOWN_HEIGHT));
  return element("figure", { title: words }, image, element("figcaption", {}, `${valueOf(one.true)} → ${valueOf(one.predicted)}`));
}

function valueOf(value) {
  if (Array.isArray(value)) return value.map((one) => number(one)).join(", ");
  return typeof value === "number" ? number(value) : String(value);
}

function tableOf(label, names, rows, numeric = null) {
  const kind = (index) => ((numeric ? numeric.includes(index) : index) ? "num" : null);
  const head = element("tr", {}, names.map((name, index) => element("th", { scope: "col", class: kind(index) }, name)));
  const body = rows.map((row) => element("tr", {}, row.map((text, index) => element("td", { class: kind(index) }, text))));
  return scrolled(label, "evaluated-table", element("thead", {}, head), element("tbody", {}, body));
}

function scrolled(label, kind, ...content) {
  return element("div", { class: `table-scroll ${kind}`, tabindex: 0, role: "region", "aria-label": label }, element("table", {}, content));
}
