// The axes of a sweep: where a value of a parameter or of the objective has its place, from 0 to 1. Pure.

import { metric } from "./format.js";

const MOST_TICKS = 5;
const STEPS = [1, 2, 5, 10];

/** The shortest ends of JSON pointers that tell them apart: `/hyperparameters/dropout` is `dropout`. */
export function shortNames(pointers) {
  const parts = new Map(pointers.map((pointer) => [pointer, pointer.replace(/^\//, "").split("/")]));
  const end = (part, length) => part.slice(-length).join("/");
  return new Map(pointers.map((pointer) => {
    const own = parts.get(pointer);
    // A place in a list alone says nothing.
    let length = /^\d+$/.test(own.at(-1)) ? 2 : 1;
    while ([...parts].some(([other, part]) => other !== pointer && end(part, length) === end(own, length))) length += 1;
    return [pointer, own.slice(-length).join(".").replaceAll("~1", "/").replaceAll("~0", "~")];
  }));
}

/** The axis of one parameter of the space. */
export function parameterAxis(pointer, domain, label) {
  const read = (trial) => trial.parameters[pointer];
  if (domain.choice) return categoryAxis(label, domain.choice, read);
  const [low, high] = domain.uniform ?? domain.int ?? domain.log;
  return domain.log ? logAxis(label, low, high, read) : linearAxis(label, low, high, read);
}

/** The axis of a number of each trial, over the values that `trials` have. */
export function numberAxis(label, read, trials, write = metric) {
  const values = trials.map(read).filter(Number.isFinite);
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  if (!values.length) return linearAxis(label, 0, 1, read, write);
  return low < high ? linearAxis(label, low, high, read, write) : linearAxis(label, low - 0.5, high + 0.5, read, write);
}

function linearAxis(label, low, high, read, write = shortly) {
  const span = high - low || 1;
  const place = (trial) => placeOf(read(trial), (value) => (value - low) / span);
  return { label, place, read, write: (trial) => write(read(trial)), ticks: linearTicks(low, high).map((value) => ({ at: (value - low) / span, words: write === metric ? shortly(value) : write(value) })) };
}

function logAxis(label, low, high, read) {
  const [from, to] = [Math.log(low), Math.log(high)];
  const span = to - from || 1;
  const place = (trial) => placeOf(read(trial), (value) => (Math.log(value) - from) / span);
  const ticks = logTicks(low, high).map((value) => ({ at: (Math.log(value) - from) / span, words: shortly(value) }));
  return { label, place, read, write: (trial) => shortly(read(trial)), ticks };
}

function categoryAxis(label, choices, read) {
  const names = choices.map(wordsOf);
  const at = (index) => (names.length > 1 ? index / (names.length - 1) : 0.5);
  const place = (trial) => {
    const value = read(trial);
    const index = value === undefined ? -1 : names.indexOf(wordsOf(value));
    return index < 0 ? null : at(index);
  };
  const shown = names.length <= 12 ? names.map((words, index) => ({ at: at(index), words })) : [];
  return { label, place, read, write: (trial) => wordsOf(read(trial)), ticks: shown };
}

/** A value as it is listed; a dash for a parameter that a trial does not have. */
export function wordsOf(value) {
  if (value === undefined || value === null) return "–";
  return typeof value === "number" ? shortly(value) : typeof value === "string" ? value : JSON.stringify(value);
}

function placeOf(value, place) {
  const at = Number.isFinite(value) ? place(value) : NaN;
  return Number.isFinite(at) ? Math.min(1, Math.max(0, at)) : null;
}

/** Round numbers from `low` to `high`. */
function linearTicks(low, high) {
  const raw = (high - low) / (MOST_TICKS - 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * STEPS.find((factor) => factor * power >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, count) }, (_, index) => (first + index) * step);
}

/** Powers of ten; of less than two decades the ends. */
function logTicks(low, high) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  if (last - first < 1) return [low, high];
  const step = Math.ceil((last - first) / (MOST_TICKS - 1));
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, index) => 10 ** (first + index * step));
}

function shortly(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e5)) return Number(value.toPrecision(3)).toExponential();
  return String(Number(value.toPrecision(4)));
}
