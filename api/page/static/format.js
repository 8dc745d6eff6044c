// How a value is shown: the one home of it. Nothing here touches the page.

const NONE = "–";

// Made once: to make a formatter takes many times as long as to use one, and a table of jobs shows a thousand numbers.
const WHOLE = new Intl.NumberFormat("en");
const DECIMALS = [0, 1, 2, 3, 4, 5, 6].map((digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits }));
const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-CA");
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
const moneys = new Map();

/** Five digits that matter at most; without a value a dash. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (Number.isInteger(value)) return WHOLE.format(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(2);
  const decimals = size >= 1000 ? 1 : size >= 100 ? 2 : digits;
  return DECIMALS[decimals].format(value);
}

/** A metric: always as many decimals, so that a column of them can be compared by eye. */
export function metric(value) {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3);
  return value.toFixed(size >= 1000 ? 1 : size >= 10 ? 2 : 4);
}

/** Seconds as people say them: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 10) return `${trimmed(seconds, seconds < 1 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", 1, "s");
  if (whole < 86_400) return pair(whole, 3600, "h", 60, "min");
  return pair(whole, 86_400, "d", 3600, "h");
}

/** An amount with its currency; small ones keep two digits that matter. */
export function money(amount, currency) {
  if (amount === null || amount === undefined) return NONE;
  const size = Math.abs(amount);
  const decimals = size === 0 || size >= 1 ? 2 : Math.min(6, 1 - Math.floor(Math.log10(size)));
  return moneyFormat(currency, decimals).format(amount);
}

/** All amounts of one part of a ledger's `costs`; a dash without a price. */
export function costs(list, part = "total") {
  return list?.length ? list.map((one) => money(one[part], one.currency)).join(" + ") : NONE;
}

/** How long ago a time was: now, 12 s, 3 min, 5 h, 2 d. */
export function age(time, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (seconds < 5) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A time of day here, to the second; with the day where that is another one than today. */
export function clock(time) {
  if (!time) return NONE;
  const moment = new Date(time);
  const ofDay = TIME.format(moment);
  return moment.toDateString() === new Date().toDateString() ? ofDay : `${DAY.format(moment)} ${ofDay}`;
}

/** The whole time here, for a title. */
export function moment(time) {
  return time ? MOMENT.format(new Date(time)) : NONE;
}

/** Bytes: 512 B, 12.3 kB, 4.5 MB. */
export function bytes(count) {
  if (count === null || count === undefined) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${trimmed(count / 1000 ** power, power ? 1 : 0)} ${units[power]}`;
}

/** A part of a whole: 12 %; below one per cent with a decimal. */
export function percent(part) {
  if (part === null || part === undefined || Number.isNaN(part)) return NONE;
  const value = part * 100;
  return `${trimmed(value, value !== 0 && Math.abs(value) < 1 ? 1 : 0)} %`;
}

/** One thing or several: 1 epoch, 3 epochs, 2 classes. */
export function counted(count, word) {
  const end = word.endsWith("s") ? "es" : "s";
  return `${number(count)} ${word}${count === 1 ? "" : end}`;
}

/** The end of a job's id, by which people tell jobs apart. */
export function shortId(id) {
  return id.slice(-6);
}

const STATUSES = {
  queued: { label: "Queued", tone: "muted" },
  running: { label: "Running", tone: "accent" },
  succeeded: { label: "Succeeded", tone: "good" },
  failed: { label: "Failed", tone: "bad" },
  cancelled: { label: "Cancelled", tone: "warn" },
};

/** The statuses of a job that has ended. */
export const TERMINAL = new Set(["succeeded", "failed", "cancelled"]);

/** A status as a word, and the tone (a class of base.css) that it is shown in. */
export function status(name) {
  return STATUSES[name] ?? { label: name, tone: "muted" };
}

const REASONS = {
  early_stopping: "early stopping",
  epochs_completed: "all epochs run",
  diverged: "diverged",
  budget: "budget used up",
  outclassed: "could not win its sweep",
  cancelled: "cancelled",
  error: "error",
  callback: "stopped by its script",
  script_ended: "its script ended",
};

/** Why a job stopped, in words; the API's list of reasons is open. */
export function reason(name) {
  return REASONS[name] ?? String(name).replaceAll("_", " ");
}

/** The parts of a ledger in their order, with the colour (a custom property of base.css) of each. */
export const PARTS = [
  { name: "start_up", label: "Start-up", colour: "--part-start-up" },
  { name: "learning", label: "Learning", colour: "--part-learning" },
  { name: "patience", label: "Patience", colour: "--part-patience" },
  { name: "redone", label: "Redone", colour: "--part-redone" },
  { name: "saving", label: "Saving", colour: "--part-saving" },
];

function moneyFormat(currency, decimals) {
  const name = `${currency} ${decimals}`;
  if (!moneys.has(name)) {
    const fraction = { minimumFractionDigits: Math.min(2, decimals), maximumFractionDigits: Math.max(2, decimals) };
    moneys.set(name, new Intl.NumberFormat("en", { style: "currency", currency, ...fraction }));
  }
  return moneys.get(name);
}

function pair(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  return rest ? `${Math.floor(seconds / large)} ${largeName} ${rest} ${smallName}` : `${Math.floor(seconds / large)} ${largeName}`;
}

function trimmed(value, decimals) {
  return String(Number(value.toFixed(decimals)));
}
