// The fields of a budget, as the dialogs that extend a job or a sweep have them. Each begins with the limit of before.

import { element } from "./dom.js";

const AMOUNT = { min: 0, step: "any" };
const BUDGET = [
  { name: "max_gpu_seconds", label: "Max compute time in seconds (optional)", made: (name, limit) => numeric(name, limit, AMOUNT), read: Number },
  { name: "max_cost", label: "Max cost (optional)", made: (name, limit) => numeric(name, limit, AMOUNT), read: Number },
  { name: "deadline", label: "Deadline (optional)", made: moment, read: (text) => new Date(text).toISOString() },
];

export const BUDGET_LABELS = {
  "#/budget": "Budget",
  "#/budget/max_gpu_seconds": "Max compute time",
  "#/budget/max_cost": "Max cost",
  "#/budget/deadline": "Deadline",
};

/** A field for each limit. */
export function budgetFields(budget) {
  return BUDGET.map(({ name, label, made }) => field(label, made(name, budget?.[name] ?? "")));
}

/** `{ budget }` with the limits that were changed, null for one that was cleared; empty where none was. */
export function changedBudget(fields) {
  const changed = BUDGET.filter(({ name }) => fields[name] && fields[name].value !== fields[name].defaultValue);
  const budget = changed.map(({ name, read }) => [name, fields[name].value ? read(fields[name].value) : null]);
  return budget.length ? { budget: Object.fromEntries(budget) } : {};
}

export function field(words, input) {
  return element("label", {}, words, input);
}

export function numeric(name, value, bounds) {
  return element("input", { type: "number", name, value, ...bounds });
}

/** A refusal in lines, each with the label of its field. */
export function problemLines(problem, labels) {
  const lines = problem.errors?.length ? problem.errors.map((one) => [labels[one.pointer], one.detail].filter(Boolean).join(": ")) : [problem.message];
  return lines.map((line) => element("p", {}, line));
}

/** A date and time of day, to the minute, as they are here. */
function moment(name, limit) {
  const here = limit && new Date(Date.parse(limit) - new Date(limit).getTimezoneOffset() * 60_000);
  return element("input", { type: "datetime-local", name, value: here && here.toISOString().slice(0, 16) });
}
