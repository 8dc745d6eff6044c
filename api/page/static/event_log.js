// The events of a job as they come.

import { byId, element, replace, setText } from "./dom.js";
import { clock, counted, moment } from "./format.js";

const MOST_LINES = 500;
const NEAR_PX = 24;

/** The list of a job's events; it stays at its end until somebody scrolls up, and again when they scroll down. */
export class EventLog {
  constructor() {
    this.list = byId("events");
    this.frame = byId("events-frame");
    this.note = byId("events-note");
    this.follow = byId("events-follow");
    this.events = [];
    this.heard = 0;
    this.waiting = false;
    this.isFollowing = true;
    this.withEpochs = true;
    this.frame.addEventListener("scroll", () => this.#scrolled());
    this.follow.addEventListener("click", () => this.#toEnd());
    // Told once the browser has laid out the page; to ask behind each change would have it done once more each time.
    new ResizeObserver(() => this.isFollowing && this.#scrollToEnd()).observe(this.list);
    byId("events-epochs").addEventListener("change", (event) => this.#choose(event.target.checked));
  }

  /** Add an event; the list shows it with the next frame. */
  add(event) {
    this.heard += 1;
    this.events.push(event);
    if (this.events.length > 4 * MOST_LINES) this.#forget();
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => this.#show());
  }

  /** Keep the last lines of either choice. */
  #forget() {
    const others = this.events.filter((event) => event.type !== "epoch").slice(-MOST_LINES);
    const epochs = this.events.filter((event) => event.type === "epoch").slice(-MOST_LINES);
    const kept = new Set([...others, ...epochs]);
    this.events = this.events.filter((event) => kept.has(event));
  }

  #choose(withEpochs) {
    this.withEpochs = withEpochs;
    this.list.replaceChildren();
    this.#show();
  }

  #show() {
    this.waiting = false;
    const shown = this.events.filter((event) => this.withEpochs || event.type !== "epoch").slice(-MOST_LINES);
    const last = this.list.lastElementChild?.dataset.id;
    const known = shown.findLastIndex((event) => event.id === last);
    if (known < 0) replace(this.list, shown.map(line));
    else this.list.append(...shown.slice(known + 1).map(line));
    while (this.list.childElementCount > MOST_LINES) this.list.firstElementChild.remove();
    const cut = this.heard > this.list.childElementCount && this.withEpochs;
    setText(this.note, cut ? `the last ${MOST_LINES} of ${counted(this.heard, "event")}` : counted(this.heard, "event"));
  }

  #scrolled() {
    const below = this.frame.scrollHeight - this.frame.clientHeight - this.frame.scrollTop;
    this.isFollowing = below < NEAR_PX;
    this.follow.hidden = this.isFollowing;
    // Else the browser holds what is in sight where it is, while lines leave above it.
    this.frame.classList.toggle("follows", this.isFollowing);
  }

  #toEnd() {
    this.#scrollToEnd();
    this.frame.focus();
  }

  #scrollToEnd() {
    this.frame.scrollTop = this.frame.scrollHeight;
  }
}

function line(event) {
  const time = element("time", { datetime: event.time, title: moment(event.time) }, clock(event.time));
  const kind = element("span", { class: "event-type" }, event.type.replaceAll("_", " "));
  return element("li", { class: event.level === "info" ? "" : event.level, dataset: { id: event.id } }, time, kind, element("span", {}, event.message));
}
