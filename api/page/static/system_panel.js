// What a job used of its machine while it ran: GPU, processor, memory and disk, live.

import { get } from "./api.js";
import { Chart } from "./charts.js";
import { byId, replace, setText } from "./dom.js";
import { TERMINAL, duration, number } from "./format.js";
import { showKey } from "./marks.js";
import { View } from "./view.js";

const FIRST_POINTS = 1000;
// A page that is open for hours asks for a sample again, rather than to keep each second.
const MOST_POINTS = 4000;
const LOOK_MS = 2000;

const CHARTS = [
  { title: "GPU utilization, %", curves: { utilization: "gpu_percent" } },
  { title: "GPU memory, GB", curves: { used: "gpu_memory_bytes" }, scale: 1e9 },
  { title: "GPU power, W", curves: { power: "gpu_watts" } },
  { title: "GPU temperature, °C", curves: { temperature: "gpu_celsius" } },
  { title: "CPU, cores", curves: { used: "cpu_cores" } },
  { title: "Memory, GB", curves: { used: "memory_bytes" }, scale: 1e9 },
  { title: "Disk, MB/s", curves: { read: "disk_read", written: "disk_written" }, scale: 1e6 },
];
const NAMES = CHARTS.flatMap(({ curves }) => Object.values(curves));
const COLOURS = ["--series-1", "--series-2"];

/** Hidden until there is a sample. */
export class SystemPanel {
  constructor(jobId, onProblem) {
    this.path = `/jobs/${jobId}/system`;
    this.onProblem = onProblem;
    this.node = byId("system");
    this.view = new View({ axis: "time" });
    this.charts = new Map();
    this.isOver = false;
    this.isReading = false;
    this.#forget();
  }

  /** The job's status; from the first on the panel reads until the job is over. */
  setStatus(status) {
    this.isOver = TERMINAL.has(status);
    if (!this.isReading) void this.#follow();
  }

  #forget() {
    this.next = null;
    this.attempt = null;
    this.offset = 0;
    this.places = [];
    this.words = [];
    this.marks = [];
    this.columns = new Map(NAMES.map((name) => [name, []]));
  }

  async #follow() {
    this.isReading = true;
    let mayCome = true;
    while (mayCome) {
      // Asked before the samples are read: none is written after the end.
      mayCome = !this.isOver;
      if (!document.hidden || !mayCome) await this.#read();
      if (mayCome) await new Promise((done) => setTimeout(done, LOOK_MS));
    }
  }

  async #read() {
    if (this.places.length > MOST_POINTS) this.next = null;
    const query = new URLSearchParams({ points: FIRST_POINTS, ...(this.next && { after: this.next }) });
    try {
      const found = await get(`${this.path}?${query}`);
      if (!this.next) this.#forget();
      this.next = found.next;
      found.data.forEach((sample) => this.#take(sample));
      if (found.data.length) this.#show(found);
    } catch (problem) {
      this.onProblem(problem);
    }
  }

  #take(sample) {
    if (sample.attempt !== this.attempt) {
      this.offset = this.places.at(-1) ?? 0;
      if (this.attempt !== null) this.marks.push({ kind: "interruption", epoch: this.offset });
      this.attempt = sample.attempt;
    }
    this.places.push(this.offset + sample.at);
    this.words.push(duration(this.places.at(-1)));
    for (const [name, values] of this.columns) values.push(sample[name]);
  }

  #show({ attempts, finding }) {
    this.node.hidden = false;
    setText(byId("system-finding"), finding?.text ?? "");
    const words = attempts.at(-1) ? machineWords(attempts.at(-1)) : null;
    if (words) setText(byId("system-machine"), words);
    for (const chart of CHARTS) this.#ensure(chart);
    showKey(byId("system-key"), this.marks);
    this.view.redraw();
  }

  #ensure({ title, curves, scale = 1 }) {
    const names = Object.values(curves);
    if (this.charts.has(title) || !names.some((name) => this.columns.get(name).some((value) => value !== null))) return;
    const drawn = Object.keys(curves).map((label, index) => ({ label, colour: COLOURS[index] }));
    const options = { title, curves: drawn, height: 120, unit: (value) => number(value, 2), rowName: "time", isFromZero: true };
    const chart = new Chart(this.view, options, () => this.#source(Object.entries(curves), scale));
    this.charts.set(title, chart);
    // In the order of the list, whichever value comes first.
    replace(byId("system-charts"), CHARTS.map((one) => this.charts.get(one.title)?.figure));
  }

  #source(curves, scale) {
    const columns = curves.map(([, name]) => this.columns.get(name).map((value) => (value === null ? null : value / scale)));
    const caption = curves.map(([label], index) => `${curves.length > 1 ? `${label}: ` : ""}${lastAndMost(columns[index])}`).join("; ");
    return { epochs: this.words, places: this.places, columns, marks: this.marks, place: (at) => at, caption };
  }
}

function lastAndMost(values) {
  const known = values.filter((value) => value !== null);
  const most = known.reduce((one, other) => Math.max(one, other), 0);
  return known.length ? `last ${number(known.at(-1), 2)}, maximum ${number(most, 2)}` : "–";
}

function machineWords({ cores, memory_bytes: memory, gpu, gpu_memory_bytes: gpuMemory }) {
  const words = [
    gpu && `${gpu}${gpuMemory ? ` with ${number(gpuMemory / 1e9, 1)} GB` : ""}`,
    cores && `${number(cores, 1)} CPU ${cores === 1 ? "core" : "cores"}`,
    memory && `${number(memory / 1e9, 1)} GB of memory`,
  ];
  return words.filter(Boolean).join(", ");
}
