// A chart: curves over epochs or time, with a caption, a legend and the same data as a table. Drawn by uPlot.

import { byId, element, replace, setAttribute, setText, svg } from "./dom.js";
import { duration, metric } from "./format.js";
import { drawBehind, drawMarks } from "./marks.js";
import { csvButton, savePng } from "./save.js";
import { lastRow, linearRange, logRange, logSplits, positive, rangeFromZero, smoothed, thinned } from "./series.js";
import uPlot from "./vendor/uPlot.esm.js";
import { MOST_POINTS } from "./view.js";

const FAINT = 0.28;
const AXIS_WIDTH = 58;

/**
 * A figure with one chart.
 *
 * @param {View} view what it shares with the other charts of the page
 * @param {object} options `title`; `curves`: `[{label, colour, dash?, isStepped?}]`, colours as custom properties; `height` in
 *     pixels; `unit`: how a value is written; `hasLabels`: whether marks have words; `rowName`: head of the table's
 *     first column; `isFromZero`: whether the vertical axis begins at zero
 * @param {function(): object} source what to draw now: `epochs` (what a row is called), `places` (the same on the axis),
 *     `columns` (one for each curve), `marks`, `place` (of an epoch on the axis), `always` (rows to show in any case)
 *     and `caption`
 */
export class Chart {
  constructor(view, { title, curves, height = 200, unit = metric, hasLabels = false, rowName = "epoch", isFromZero = false }, source) {
    this.view = view;
    this.curves = curves.map((curve) => ({ ...curve, isShown: true }));
    this.height = height;
    this.unit = unit;
    this.hasLabels = hasLabels;
    this.rowName = rowName;
    this.isFromZero = isFromZero;
    this.source = source;
    this.plot = null;
    this.rows = [];
    this.isTable = false;
    /** Of the paper, as last measured: asking for it makes the browser lay out the page at once. */
    this.width = 0;
    this.figure = this.#figure(title);
    view.charts.add(this);
    new ResizeObserver(([{ contentRect }]) => this.#resize(contentRect.width)).observe(this.paper);
  }

  /** Take the chart off its view. */
  remove() {
    this.view.charts.delete(this);
    this.plot?.destroy();
    this.figure.remove();
  }

  /** Draw what the source says now. */
  draw() {
    this.now = this.source();
    this.rows = this.#rows();
    setText(this.caption, this.now.caption);
    setAttribute(this.paper, "aria-label", `Chart. ${this.now.caption}`);
    if (this.isTable) this.#showTable();
    this.#plotData();
    this.#showValues();
  }

  /** How many points are drawn of how many. */
  get points() {
    return { shown: this.rows.length, of: this.now?.places.length ?? 0 };
  }

  #figure(title) {
    this.caption = element("span", { class: "chart-caption" });
    this.tableButton = element(
      "button",
      { type: "button", class: "quiet small", "aria-pressed": "false", on: { click: () => this.#toggleTable() } },
      "Table",
      element("span", { class: "sr" }, ` of ${title}`),
    );
    this.title = title;
    const png = element("button", { type: "button", class: "quiet small", on: { click: () => void this.#savePng() } }, "PNG", element("span", { class: "sr" }, ` of ${title}`));
    const buttons = element("div", { class: "chart-buttons" }, this.tableButton, csvButton(title, () => this.#csv()), png);
    const head = element("figcaption", {}, element("h3", {}, title), this.caption, buttons);
    const keys = { keydown: (event) => this.#step(event) };
    this.paper = element("div", { class: "chart-paper", role: "img", tabindex: 0, "aria-label": title, on: keys });
    this.paper.style.height = `${this.height}px`;
    this.table = element("div", { class: "chart-table", hidden: true, tabindex: 0, role: "region", "aria-label": `${title} as a table` });
    this.legend = element("div", { class: "chart-legend" }, this.curves.map((curve, index) => this.#legendButton(curve, index)));
    return element("figure", { class: "chart card" }, head, this.paper, this.table, this.legend);
  }

  #legendButton(curve, index) {
    // No <output>, which is read aloud at each change.
    curve.output = element("span", { class: "value" });
    const pen = { stroke: `var(${curve.colour})`, "stroke-width": 2.5, "stroke-dasharray": curve.dash?.join(" ") };
    const sample = svg("svg", { width: 22, height: 8, "aria-hidden": "true" }, svg("path", { d: "M0 4h22", ...pen }));
    const on = { click: () => this.#toggle(index) };
    curve.button = element("button", { type: "button", "aria-pressed": "true", on }, sample, element("span", {}, curve.label), curve.output);
    return curve.button;
  }

  #toggle(index) {
    const curve = this.curves[index];
    curve.isShown = !curve.isShown;
    curve.button.setAttribute("aria-pressed", curve.isShown);
    this.view.redraw();
  }

  #toggleTable() {
    this.isTable = !this.isTable;
    this.tableButton.setAttribute("aria-pressed", this.isTable);
    this.paper.hidden = this.isTable;
    this.table.hidden = !this.isTable;
    this.draw();
  }

  /** The rows to draw: those in sight and one beyond each end, thinned out where they are too many. */
  #rows() {
    const { places, columns, always = [] } = this.now;
    const [least, greatest] = this.view.zoom ?? [-Infinity, Infinity];
    const from = Math.max(0, places.findIndex((place) => place >= least) - 1);
    const behind = places.findIndex((place) => place > greatest);
    const to = behind < 0 ? places.length : behind + 1;
    return thinned(columns, from, to, MOST_POINTS, always);
  }

  /** What uPlot draws: the places, the raw curves, and the smoothed ones over them. */
  #data() {
    // Undefined is a place that a curve does not have, and leaves no gap; null is a value that was not finite.
    const pick = (column) => this.rows.map((row) => column[row]);
    const { places, columns } = this.now;
    const weight = this.view.smoothing;
    this.smooth = columns.map((column) => (weight > 0 ? smoothed(column, weight) : column));
    const shown = [...columns.map(pick), ...this.smooth.map(pick)];
    return [pick(places), ...(this.view.scale === "log" ? shown.map(positive) : shown)];
  }

  #plotData() {
    if (!this.width) return;
    const data = this.#data();
    // uPlot's axes are as they were made.
    if (this.plot && this.drawnAs !== this.#axesInWords()) this.#forget();
    if (!this.plot) this.#create(data);
    this.plot.batch(() => {
      this.curves.forEach((curve, index) => this.#showCurve(curve, index));
      this.plot.setData(data);
    });
  }

  #showCurve(curve, index) {
    const isSmooth = this.view.smoothing > 0;
    const [raw, smooth] = [1 + index, 1 + this.curves.length + index];
    this.plot.series[raw].alpha = isSmooth ? FAINT : 1;
    const wanted = [[raw, curve.isShown], [smooth, curve.isShown && isSmooth]];
    for (const [number, show] of wanted) {
      if (this.plot.series[number].show !== show) this.plot.setSeries(number, { show }, false);
    }
  }

  #axesInWords() {
    return `${this.view.axis} ${this.view.scale}`;
  }

  #forget() {
    this.plot.destroy();
    this.plot = null;
  }

  #create(data) {
    this.drawnAs = this.#axesInWords();
    this.plot = new uPlot(this.#options(), data, this.paper);
  }

  #resize(width) {
    this.width = width;
    if (!width) return;
    this.plot?.setSize({ width, height: this.height });
    if (this.now) this.draw();
  }

  #options() {
    const { view } = this;
    const isLog = view.scale === "log";
    return {
      width: this.width,
      height: this.height,
      padding: [this.hasLabels ? 22 : 8, 12, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, range: (plot, least, greatest) => this.#span(least, greatest) },
        y: isLog
          ? { distr: 3, range: (plot, least, greatest) => logRange(least, greatest) }
          : { range: (plot, least, greatest) => (this.isFromZero ? rangeFromZero(greatest) : linearRange(least, greatest)) },
      },
      axes: [this.#xAxis(), this.#yAxis(isLog)],
      series: [{}, ...this.curves.map((curve) => this.#series(curve)), ...this.curves.map((curve) => this.#series(curve, true))],
      cursor: this.#cursor(),
      hooks: {
        drawClear: [(plot) => drawBehind(plot, view, this.now.marks, this.now.place)],
        draw: [(plot) => drawMarks(plot, view, this.now.marks, this.now.place, this.hasLabels)],
        setCursor: [() => this.#showValues()],
        setSelect: [(plot) => this.#zoom(plot)],
      },
    };
  }

  #series(curve, isSmooth = false) {
    return {
      label: curve.label,
      stroke: () => this.view.colour(curve.colour),
      width: isSmooth ? 2 : 1.6,
      dash: curve.dash,
      paths: curve.isStepped ? uPlot.paths.stepped({ align: -1 }) : undefined,
      show: !isSmooth,
      points: { show: (plot, index, first, last) => last - first < 2, size: 6 },
    };
  }

  #axis() {
    const { view } = this;
    const line = { stroke: () => view.colour("--line"), width: 1 };
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    return { stroke: () => view.colour("--muted"), font, grid: line, ticks: { ...line, size: 4 } };
  }

  #xAxis() {
    const isTime = this.view.axis === "time";
    const write = (value) => (this.view.axis === "time" ? duration(value) : String(value));
    // Whole epochs only; the scale of time finds its own steps.
    const steps = [1, 2, 5].flatMap((factor) => [1, 10, 100, 1e3, 1e4, 1e5].map((power) => factor * power)).sort((one, other) => one - other);
    return {
      ...this.#axis(),
      size: 30,
      space: 64,
      incrs: isTime ? undefined : steps,
      values: (plot, splits) => splits.map((split) => write(split)),
    };
  }

  #yAxis(isLog) {
    const log = { splits: (plot, axis, least, greatest) => logSplits(least, greatest), filter: (plot, splits) => splits };
    const values = (plot, splits) => splits.map((split) => shortly(split));
    return { ...this.#axis(), size: AXIS_WIDTH, space: 36, values, ...(isLog ? log : {}) };
  }

  #cursor() {
    return {
      y: false,
      points: { size: 7, width: 0, fill: (plot, index) => this.view.colour(this.curves[(index - 1) % this.curves.length].colour) },
      drag: { x: true, y: false, setScale: false, dist: 4 },
      // Only where the cursor is; a drag belongs to the chart that it is on.
      sync: { key: this.view.key, filters: { pub: (type) => type === "mousemove" || type === "mouseleave", sub: () => true } },
      bind: { dblclick: () => () => this.view.zoomTo(null) },
    };
  }

  /** From where to where the axis reaches. */
  #span(least, greatest) {
    if (this.view.zoom) return this.view.zoom;
    const places = this.now.places;
    if (!places.length) return [0, 1];
    const [first, last] = [places[0], Math.max(places.at(-1), this.view.horizon ?? -Infinity)];
    return last > first ? [first, last] : [first - 1, last + 1];
  }

  #zoom(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const range = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.view.zoomTo(range);
  }

  /** The arrow keys move the cursor of all charts. */
  #step(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.plot || !this.rows.length) return;
    event.preventDefault();
    const at = this.plot.cursor.idx ?? (step > 0 ? -1 : this.rows.length);
    const index = Math.min(this.rows.length - 1, Math.max(0, at + step));
    this.plot.setCursor({ left: this.plot.valToPos(this.plot.data[0][index], "x"), top: 10 }, true, true);
  }

  /** The values under the cursor, or the last ones. */
  #showValues() {
    if (!this.now || !this.smooth) return;
    const places = this.plot?.cursor.idxs ?? [];
    const hasCursor = this.plot ? this.plot.cursor.idx !== null && this.plot.cursor.left >= 0 : false;
    this.curves.forEach((curve, number) => setText(curve.output, this.#value(number, hasCursor ? places[1 + number] : null)));
    this.figure.classList.toggle("has-cursor", hasCursor);
  }

  /** The value of a curve at a point that is drawn; undefined is none, null is its last one. */
  #value(number, point) {
    const column = this.now.columns[number];
    const shown = point === null ? lastRow(column) : this.rows[point];
    if (!(shown in column)) return "–";
    const value = this.unit(column[shown]);
    if (!(this.view.smoothing > 0)) return value;
    return `${value} (smoothed ${this.unit(this.smooth[number][shown])})`;
  }

  /** All rows, also those that the chart leaves out. */
  #csv() {
    const { epochs, places, columns } = this.now;
    // Where rows are no epochs, `epochs` has the words of the places.
    const isEpochs = this.view.axis === "epoch" || (epochs !== places && typeof epochs[0] === "number");
    const rows = (isEpochs ? epochs : places).map((place, row) => [place, ...columns.map((column) => column[row])]);
    return { name: this.#fileName(), head: [isEpochs ? "epoch" : "seconds", ...this.curves.map((curve) => curve.label)], rows };
  }

  async #savePng() {
    if (this.isTable) this.#toggleTable();
    // A chart that was hidden is drawn when the browser has laid it out.
    while (!this.plot) await new Promise(requestAnimationFrame);
    const legend = this.curves.filter((curve) => curve.isShown);
    const words = { title: this.title, caption: this.now.caption, legend };
    await savePng(this.#fileName(), this.plot.ctx.canvas, this.width, words, (property) => this.view.colour(property));
  }

  #fileName() {
    return `${byId("job")?.dataset.job ?? "jobs"}-${this.title}`;
  }

  #showTable() {
    const { epochs, columns } = this.now;
    const names = this.curves.map((curve) => element("th", { class: "num", scope: "col" }, curve.label));
    const head = element("tr", {}, element("th", { class: "num", scope: "col" }, this.rowName), names);
    const rows = this.rows.map((row) => {
      const cells = columns.map((column) => element("td", { class: "num" }, this.unit(column[row])));
      return element("tr", {}, element("th", { class: "num", scope: "row" }, epochs[row]), cells);
    });
    replace(this.table, element("table", {}, element("thead", {}, head), element("tbody", {}, rows)));
  }
}

/** A label of an axis: no digits that say nothing. */
function shortly(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e6 ? Number(value.toPrecision(3)).toExponential() : String(Number(value.toPrecision(5)));
}
