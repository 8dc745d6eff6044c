// Numbers made ready to be drawn: smoothed, thinned out, and with ranges that an axis can show.

/**
 * The exponential moving average of a curve, without the pull to zero at its beginning.
 *
 * @param {Array<number|null>} values
 * @param {number} weight of what came before, from 0 (the curve itself) to below 1
 * @returns {Array<number|null>} null where the value is
 */
export function smoothed(values, weight) {
  let sum = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

/**
 * Which rows to draw where there are more than can be seen: the least and the greatest of every curve in each of
 * equally long stretches, so that no spike is lost.
 *
 * @param {Array<Array<number|null>>} columns curves of one length
 * @param {number} from first row
 * @param {number} to behind the last row
 * @param {number} most rows; at least 4 for each curve
 * @param {Array<number>} always rows that are shown in any case
 * @returns {Array<number>} rows, rising; the first and the last are among them
 */
export function thinned(columns, from, to, most, always = []) {
  if (to - from <= most) return Array.from({ length: Math.max(0, to - from) }, (_, place) => from + place);
  const chosen = new Set([from, to - 1, ...always.filter((row) => row >= from && row < to)]);
  const stretches = Math.max(1, Math.floor((most - chosen.size) / (2 * columns.length)));
  for (let stretch = 0; stretch < stretches; stretch += 1) {
    const begin = from + Math.floor(((to - from) * stretch) / stretches);
    const end = from + Math.floor(((to - from) * (stretch + 1)) / stretches);
    for (const column of columns) {
      for (const row of extremes(column, begin, end)) chosen.add(row);
    }
  }
  return [...chosen].sort((one, other) => one - other);
}

/** The rows of the least and the greatest value in a stretch. */
function extremes(column, begin, end) {
  let least = null;
  let greatest = null;
  for (let row = begin; row < end; row += 1) {
    const value = column[row];
    if (value === null || value === undefined) continue;
    if (least === null || value < column[least]) least = row;
    if (greatest === null || value > column[greatest]) greatest = row;
  }
  return least === null ? [] : [least, greatest];
}

/** What a logarithmic axis can show of a curve: zero and below have no place on it. */
export function positive(values) {
  return values.map((value) => (value <= 0 ? null : value));
}

/** A range around what is drawn, with air; never empty, also where nothing or one value is drawn. */
export function linearRange(least, greatest) {
  if (least === null || least === undefined || greatest === null) return [0, 1];
  const air = least === greatest ? Math.abs(least) * 0.1 || 1 : (greatest - least) * 0.08;
  return [least - air, greatest + air];
}

/** A range from zero to above the greatest value; never empty. */
export function rangeFromZero(greatest) {
  return [0, greatest > 0 ? greatest * 1.08 : 1];
}

/** The same for a logarithmic axis: both ends above zero and apart, or uPlot throws (leeoniya/uPlot#577). */
export function logRange(least, greatest) {
  if (!(least > 0) || !(greatest > 0)) return [0.1, 1];
  const air = least === greatest ? 2 : (greatest / least) ** 0.08;
  return [least / air, greatest * air];
}

/** Round places for the labels of a logarithmic axis: 1, 2 and 5 of each decade; within one decade evenly spread. */
export function logSplits(least, greatest) {
  if (greatest / least < 10) return evenSplits(least, greatest);
  const steps = greatest / least < 1000 ? [1, 2, 5] : [1];
  const splits = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.log10(greatest); power += 1) {
    for (const step of steps) splits.push(step * 10 ** power);
  }
  return splits.filter((split) => split >= least && split <= greatest);
}

function evenSplits(least, greatest) {
  const rough = (greatest - least) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const count = Math.floor(greatest / step) - Math.ceil(least / step) + 1;
  return Array.from({ length: Math.max(0, count) }, (_, place) => (Math.ceil(least / step) + place) * step);
}

/** Which metrics belong on one chart, training first: `[["loss", "val_loss"], …]`, in the order in which they came. */
export function paired(names) {
  const bases = [...new Set(names.map((name) => name.replace(/^val_/, "")))];
  return bases.map((base) => [base, `val_${base}`].filter((name) => names.includes(name)));
}

/** Whether less or more of a metric is better, as `better_mode` of `shared/task.py` says. */
export function betterMode(name) {
  return GREATER_IS_BETTER.has(name.replace(/^val_/, "")) ? "max" : "min";
}

const GREATER_IS_BETTER = new Set(["accuracy", "precision", "recall", "auc", "r2"]);

/** The row of the highest (mode "max") or lowest value of a curve, the first of equals; -1 where none is known. */
export function extremeRow(values, mode) {
  let found = -1;
  values.forEach((value, row) => {
    if (!Number.isFinite(value)) return;
    if (found < 0 || (mode === "max" ? value > values[found] : value < values[found])) found = row;
  });
  return found;
}

/** What the better extreme of a metric is called. */
export function extremeWord(name) {
  return betterMode(name) === "max" ? "highest" : "lowest";
}

/** The row of the last known value; -1 for none. */
export function lastRow(values) {
  return values.findLastIndex((value) => Number.isFinite(value));
}
