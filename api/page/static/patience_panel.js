// The slider: where the job would have stopped with another patience, at once, without asking the service.

import { element, replace, setText } from "./dom.js";
import { counted, duration, metric, money } from "./format.js";
import { whatIf } from "./stopping.js";

const LEAST_REACH = 30;

/** The rule that a job runs under, or would by default: as `own_rule` of `api/insight/replay.py`. */
export function ownRule(spec, modeOf) {
  const { early_stopping: own, model_checkpoint: checkpoint } = spec.callbacks;
  if (own) return own;
  const monitor = checkpoint?.monitor ?? "val_loss";
  return { monitor, mode: modeOf(monitor), min_delta: 0.001, patience: 10, start_from_epoch: 0 };
}

/**
 * The panel. `curves`: of the job; `onChange(stop)` hears `{epoch, patience, last}` of the stop that is asked for where
 * it is another one than before: null where it is the job's own, or cannot be known.
 */
export class PatiencePanel {
  constructor(node, curves, onChange) {
    this.curves = curves;
    this.onChange = onChange;
    this.rule = null;
    this.stop = null;
    this.slider = element("input", { type: "range", id: "patience", min: 1, max: LEAST_REACH, value: 1, on: { input: () => this.#moved() } });
    this.value = element("output", { class: "patience-value", for: "patience" });
    this.text = element("p", { class: "patience-text" });
    this.facts = element("dl", { class: "patience-facts" });
    this.reset = element("button", { type: "button", class: "quiet small", hidden: true, on: { click: () => this.#goBack() } }, "Reset");
    const label = element("div", { class: "patience-label" }, element("label", { for: "patience" }, "Patience"), this.value, this.reset);
    replace(node, element("div", { class: "card-head" }, element("h2", {}, "With another patience")), label, this.slider, this.text, this.facts);
  }

  /** The job whose rule it is; `price` is `{perHour, currency}` of its GPU, or null. */
  setJob(rule, allowed, price, isOver) {
    const isNew = this.rule === null;
    Object.assign(this, { rule, allowed, price, isOver });
    if (isNew) this.slider.value = this.asked = rule.patience;
    this.show();
  }

  /** Answer for the curve as it is now. */
  show() {
    if (!this.rule) return;
    const reach = Math.max(LEAST_REACH, 2 * this.rule.patience, this.asked);
    if (Number(this.slider.max) !== reach) this.slider.max = reach;
    this.slider.value = this.asked;
    const values = this.curves.values(this.rule.monitor);
    this.slider.disabled = values.length === 0;
    if (!values.length) return this.#showNone();
    const answer = whatIf({ values, seconds: this.curves.seconds }, { ...this.rule, patience: this.asked }, this.allowed);
    this.#tell(answer);
    const isOwn = this.asked === this.rule.patience;
    this.#choose(answer.stops && !isOwn ? { epoch: answer.epoch, patience: this.asked, last: answer.last } : null);
  }

  #choose(stop) {
    if (JSON.stringify(stop) === JSON.stringify(this.stop)) return;
    this.stop = stop;
    this.onChange(stop);
  }

  #moved() {
    this.asked = Number(this.slider.value);
    this.show();
  }

  #goBack() {
    this.asked = this.rule.patience;
    this.show();
    this.slider.focus();
  }

  #showNone() {
    setText(this.value, String(this.asked));
    setText(this.text, "No epoch has finished.");
  }

  #tell(answer) {
    const isOwn = this.asked === this.rule.patience;
    this.reset.hidden = isOwn;
    setText(this.value, counted(this.asked, "epoch"));
    this.slider.setAttribute("aria-valuetext", counted(this.asked, "epoch"));
    setText(this.text, this.#sentence(answer, isOwn));
    replace(this.facts, answer.known ? this.#known(answer) : this.#unknown(answer));
  }

  #sentence(answer, isOwn) {
    if (!answer.known) return this.#beyond(answer, isOwn);
    const { monitor } = this.rule;
    const would = isOwn && this.isOver ? "It" : "It would have";
    const stopped = answer.stops ? "stopped at" : "run all its epochs, to";
    const sooner = answer.savedEpochs ? `, ${counted(answer.savedEpochs, "epoch")} sooner` : "";
    const lost = answer.lost > 0 ? `, and the best ${monitor} would be ${metric(answer.lost)} worse` : "";
    const kept = answer.savedEpochs && answer.lost === 0 ? ", with an equally good best model" : "";
    return `${would} ${stopped} epoch ${answer.epoch}${sooner}${lost}${kept}.`;
  }

  #beyond(answer, isOwn) {
    const used = `${answer.wait} of ${this.asked} epochs of patience are used up at epoch ${answer.last}`;
    if (!this.isOver && isOwn) return `It has not stopped yet: ${used}.`;
    const when = this.isOver ? "the last one trained" : "the last so far";
    return `It would not have stopped by epoch ${answer.last}, ${when}. Later epochs are unknown.`;
  }

  #known(answer) {
    return [
      fact("Epoch of the stop", answer.epoch, String(answer.epoch), "stops-at-epoch"),
      fact("Epochs saved", answer.savedEpochs, String(answer.savedEpochs)),
      fact("Compute time saved", answer.savedSeconds, duration(answer.savedSeconds), "gpu-time-saved"),
      this.#moneySaved(answer.savedSeconds),
      fact(`Best ${this.rule.monitor}`, answer.value, metric(answer.value)),
      fact("Lost", answer.lost, answer.lost > 0 ? metric(answer.lost) : "nothing"),
    ];
  }

  #unknown(answer) {
    return [
      fact("Epoch of the stop", null, "unknown", "stops-at-epoch"),
      fact("Patience used up", answer.wait, `${answer.wait} of ${this.asked}`),
      fact(`Best ${this.rule.monitor}`, answer.value, metric(answer.value)),
    ];
  }

  #moneySaved(seconds) {
    if (!this.price) return null;
    const amount = (seconds * this.price.perHour) / 3600;
    return fact("Money saved", amount, money(amount, this.price.currency));
  }
}

/** A figure with its exact value for programs. */
function fact(name, value, shown, id = name.startsWith("Best") ? "best" : name.toLowerCase().replaceAll(" ", "-")) {
  const data = element("data", { value: value ?? "", "data-fact": id }, shown);
  return element("div", {}, element("dt", {}, name), element("dd", {}, data));
}
