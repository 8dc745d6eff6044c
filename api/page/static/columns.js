// The columns of the table of jobs: what each shows, how wide it is, and what it is sorted by.

import * as format from "./format.js";
import { BestCell, CurveCell, NameCell, PatienceCell, ProgressCell, StatusCell, TextCell } from "./job_cells.js";

const STATUSES = ["running", "queued", "succeeded", "failed", "cancelled"];
// A chosen column such as hyperparameters.batch_size.
const FAMILIES = ["hyperparameters.", "metrics.", "metadata.", "dataset.", "model.", "callbacks.", "budget.", "program."];

/**
 * `width`: pixels, and whether the column grows. `isServer`: all jobs are sorted by the service under this name; else
 * `value` sorts those on the page. A column with neither cannot be sorted.
 */
const COLUMNS = [
  { name: "status", label: "Status", width: 112, value: (job) => STATUSES.indexOf(job.status), cell: () => new StatusCell() },
  { name: "name", label: "Job", width: 150, grows: true, isServer: true, value: (job) => (job.name ?? job.dataset).toLowerCase(), cell: () => new NameCell() },
  { name: "epoch", label: "Progress", width: 200, grows: true, isServer: true, value: (job) => job.epoch, cell: () => new ProgressCell() },
  { name: "best", label: "Best", width: 160, isNumber: true, isServer: true, value: (job) => job.best?.value ?? null, cell: () => new BestCell() },
  { name: "curve", label: "Curve", width: 120, cell: () => new CurveCell() },
  { name: "patience", label: "Patience used", width: 140, value: (job) => (job.patience ? job.patience.wait / job.patience.patience : null), cell: () => new PatienceCell() },
  text("cost", "Cost", 104, costWords, { isNumber: true, kind: "cost", value: costValue, title: (job) => `${format.duration(job.gpu_seconds)} of compute time` }),
  text("created", "Age", 70, (job) => format.age(job.created_at), { isNumber: true, kind: "age muted", isServer: true, isTicking: true, value: (job) => job.created_at, title: (job) => format.moment(job.created_at) }),
  text("source", "Dataset", 130, (job) => job.dataset, { isServer: true, value: (job) => job.dataset }),
  text("tags", "Tags", 130, (job) => job.tags.join(", ") || "–", { value: (job) => job.tags.join(", ") || null }),
  text("duration", "Duration", 100, (job) => format.duration(seconds(job)), { isNumber: true, isTicking: true, value: seconds }),
  text("compute", "Compute time", 110, (job) => format.duration(job.gpu_seconds || null), { isNumber: true, value: (job) => job.gpu_seconds || null }),
  text("started", "Started", 150, (job) => format.clock(job.started_at), { isNumber: true, value: (job) => job.started_at }),
  text("finished", "Finished", 150, (job) => format.clock(job.finished_at), { isNumber: true, isServer: true, value: (job) => job.finished_at }),
  text("priority", "Priority", 90, (job) => String(job.priority), { isNumber: true, isServer: true, value: (job) => job.priority }),
  text("project", "Project", 110, (job) => job.project, { value: (job) => job.project }),
  text("warnings", "Warnings", 90, (job) => String(job.warnings), { isNumber: true, value: (job) => job.warnings }),
];
const BY_NAME = new Map(COLUMNS.map((column) => [column.name, column]));

/** The columns of a table for which none were chosen. */
export const DEFAULT_COLUMNS = ["status", "name", "epoch", "best", "curve", "patience", "cost", "created"];

/** The columns that every job has, by name and label. */
export const FIXED_COLUMNS = COLUMNS.map(({ name, label }) => ({ name, label }));

/** The column of this name; null for a name that is none. */
export function columnOf(name) {
  if (BY_NAME.has(name)) return BY_NAME.get(name);
  return isChosenValue(name) ? valueColumn(name) : null;
}

/** Whether the service adds the value of this column to each row. */
export function isChosenValue(name) {
  return FAMILIES.some((family) => name.startsWith(family) && name.length > family.length);
}

/** The last part of a column's name: hyperparameters.optimizer.kind is "optimizer.kind". */
export function shortName(name) {
  return name.slice(name.indexOf(".") + 1);
}

/** The columns of a grid, in CSS, without and with those that a narrow window leaves out; the box of each row first. */
export function gridOf(columns) {
  const all = columns.map(({ width, grows }) => (grows ? `minmax(${width}px, 1fr)` : `${width}px`));
  const isNarrow = (_, place) => columns[place].name !== "curve";
  const least = (widths) => `${36 + widths.reduce((sum, { width }) => sum + width, 0)}px`;
  return {
    "--columns": ["36px", ...all].join(" "),
    "--least": least(columns),
    "--columns-narrow": ["36px", ...all.filter(isNarrow)].join(" "),
    "--least-narrow": least(columns.filter(({ name }) => name !== "curve")),
  };
}

function text(name, label, width, words, { kind = "extra", isNumber = false, isTicking = false, title = null, ...more } = {}) {
  const classes = [isNumber ? "num" : "", kind].filter(Boolean).join(" ");
  return { name, label, width, isNumber, ...more, cell: () => new TextCell(label, classes, words, { isTicking, title }) };
}

function valueColumn(name) {
  const value = (job) => job.values[name] ?? null;
  const isMetric = name.startsWith("metrics.");
  const words = (job) => valueWords(value(job), isMetric);
  return text(name, shortName(name), 120, words, { isNumber: isMetric, isServer: name.startsWith("metadata."), value });
}

function valueWords(value, isMetric) {
  if (typeof value === "number") return isMetric ? format.metric(value) : format.number(value, 6);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return value ?? "–";
}

function costWords(job) {
  if (!job.gpu_seconds) return "–";
  return job.costs.length ? format.costs(job.costs) : format.duration(job.gpu_seconds);
}

function costValue(job) {
  return job.costs.length ? job.costs.reduce((sum, one) => sum + one.total, 0) : job.gpu_seconds || null;
}

/** Seconds from the start to the end, or to now. */
function seconds(job) {
  if (!job.started_at) return null;
  return (Date.parse(job.finished_at ?? new Date().toISOString()) - Date.parse(job.started_at)) / 1000;
}
