// Long work in short pieces, so that a page answers while it draws.

const HALF_A_FRAME_MS = 8;

/** Counts the time of one piece: work asks `isOver` between its steps, and where it is, waits for the `next` frame. */
export class Slices {
  /** `milliseconds`: how long a piece may be; a step that has begun is finished. */
  constructor(milliseconds = HALF_A_FRAME_MS) {
    this.milliseconds = milliseconds;
    this.began = performance.now();
  }

  get isOver() {
    return performance.now() - this.began >= this.milliseconds;
  }

  /** Resolves with the next frame. A page that nobody looks at has none until somebody does. */
  async next() {
    await new Promise((done) => requestAnimationFrame(done));
    this.began = performance.now();
  }
}
