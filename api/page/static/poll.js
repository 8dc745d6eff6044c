// Reading something again and again while somebody can see it.

import { notice } from "./notice.js";

const LOOK_MS = 3000;

/** Calls `show(answer)` with what `read()` answers, at first and where it is another answer than before. */
export class Poll {
  constructor(read, show) {
    this.read = read;
    this.show = show;
    this.shown = null;
    this.newest = 0;
    this.timer = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(this.timer) : void this.look()));
  }

  /** Read now. What an earlier look reads, and gets later, is old: it is not shown. */
  async look() {
    clearTimeout(this.timer);
    this.newest += 1;
    const own = this.newest;
    try {
      const answer = await this.read();
      if (own === this.newest) this.#showNew(answer);
    } catch (problem) {
      if (own === this.newest) notice(problem.message, "bad");
    }
    if (own === this.newest && !document.hidden) this.timer = setTimeout(() => void this.look(), LOOK_MS);
  }

  #showNew(answer) {
    const text = JSON.stringify(answer);
    if (text === this.shown) return;
    this.shown = text;
    this.show(answer);
  }
}
