// Following one job: by server-sent events, and by asking again and again where those do not come through.

import { get, getChanged, goToSignIn, isShared } from "./api.js";
import { TERMINAL } from "./format.js";

// Between two looks at the job's document: behind an event, without one, and while no stream comes through.
const SOON_MS = 500;
const SELDOM_MS = 5000;
const POLL_MS = 2000;
// A stream that says nothing for so long is blocked somewhere on the way: at first, and later (it keeps alive each 15 s).
const FIRST_WORD_MS = 6000;
const NEXT_WORD_MS = 40_000;
const MOST_FAILURES = 3;

/**
 * Follow a job until it is over. `onEvent(event)` hears each event behind the cursor `after` once, in order;
 * `onState(job)` the job's document at first and at each change; `onProblem(problem)` what does not work for now.
 * Answers a function that ends it. One stream at most: a browser has six connections to a host.
 */
export function follow(jobId, { onEvent = ignore, onState = ignore, onProblem = ignore, after = null } = {}) {
  const following = new Following(jobId, { onEvent, onState, onProblem }, after);
  following.run().catch((error) => {
    if (error.name !== "AbortError") onProblem(error);
  });
  return () => following.stopping.abort();
}

class Following {
  constructor(jobId, handlers, cursor) {
    this.path = `/jobs/${jobId}`;
    this.handlers = handlers;
    this.cursor = cursor;
    this.stopping = new AbortController();
    this.signal = this.stopping.signal;
    // A link to a job gets no stream.
    this.isStreaming = !isShared;
    this.hasEnded = false;
    this.wake = ignore;
  }

  async run() {
    const stream = this.isStreaming ? this.stream() : null;
    let etag = null;
    while (!this.signal.aborted) {
      try {
        const changed = await getChanged(this.path, etag, { signal: this.signal });
        if (this.signal.aborted) return;
        if (changed) {
          etag = changed.etag;
          this.handlers.onState(changed.body);
        }
        const isOver = changed && TERMINAL.has(changed.body.status);
        if (!this.isStreaming) await this.drain();
        if (isOver) return await this.finish(stream);
        await this.pause();
      } catch (error) {
        await this.bear(error);
      }
    }
  }

  /** Hear the last events of a job that is over. */
  async finish(stream) {
    await Promise.race([stream, sleep(FIRST_WORD_MS, this.signal)]);
    this.isStreaming = false;
    if (!this.hasEnded) await this.drain();
    this.stopping.abort();
  }

  /** Every event behind the cursor, by asking. */
  async drain() {
    let page;
    do {
      const query = new URLSearchParams(this.cursor ? { after: this.cursor } : {});
      page = await get(`${this.path}/events?${query}`, { signal: this.signal });
      if (this.isStreaming) return;
      page.data.forEach((event) => this.handlers.onEvent(event));
      this.cursor = page.next;
    } while (page.has_more && !this.signal.aborted);
  }

  /** Hear the stream for as long as one comes through; then `isStreaming` is false, and asking takes over. */
  async stream() {
    let failures = 0;
    while (!this.signal.aborted && !this.hasEnded && failures < MOST_FAILURES) {
      const before = this.cursor;
      try {
        await this.listen();
        failures = this.cursor === before ? failures + 1 : 0;
      } catch (error) {
        if (this.signal.aborted) return;
        failures = error instanceof Blocked ? MOST_FAILURES : failures + 1;
      }
      if (!this.hasEnded) await sleep(SOON_MS * failures, this.signal);
    }
    this.isStreaming = false;
    this.wake();
  }

  /** One stream to its end. Not an EventSource: that one hears only types it was told of, and hides why it failed. */
  async listen() {
    const patience = new AbortController();
    const giveUp = () => patience.abort();
    this.signal.addEventListener("abort", giveUp, { once: true });
    let timer = setTimeout(giveUp, FIRST_WORD_MS);
    let hasSpoken = false;
    try {
      const reader = await this.open(patience.signal);
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        hasSpoken = true;
        clearTimeout(timer);
        timer = setTimeout(giveUp, NEXT_WORD_MS);
        const frames = (text + value).split("\n\n");
        text = frames.pop();
        frames.forEach((frame) => this.take(frame));
      }
    } catch (error) {
      throw hasSpoken ? error : new Blocked();
    } finally {
      clearTimeout(timer);
      this.signal.removeEventListener("abort", giveUp);
    }
  }

  async open(signal) {
    const resumed = this.cursor ? { "Last-Event-ID": this.cursor } : {};
    const headers = { Accept: "text/event-stream", ...resumed };
    const response = await fetch(`${this.path}/events`, { headers, signal, credentials: "same-origin", cache: "no-store" });
    if (response.status === 401) goToSignIn();
    // 503 where all streams are taken, or a proxy's own word.
    if (!response.ok || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) throw new Blocked();
    return response.body.pipeThrough(new TextDecoderStream()).getReader();
  }

  take(frame) {
    const fields = {};
    for (const line of frame.split("\n")) {
      const colon = line.indexOf(": ");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 2);
    }
    if (!fields.data) return;
    this.cursor = fields.id ?? this.cursor;
    if (fields.event === "end") this.hasEnded = true;
    else this.handlers.onEvent(JSON.parse(fields.data));
    this.wake();
  }

  /** Until it is worth looking again: soon behind an event, seldom without one. */
  async pause() {
    if (!this.isStreaming) return sleep(POLL_MS, this.signal);
    const woken = new Promise((done) => (this.wake = done));
    await Promise.race([woken, sleep(SELDOM_MS, this.signal)]);
    this.wake = ignore;
    return sleep(SOON_MS, this.signal);
  }

  /** Say what went wrong and wait; what cannot become better by waiting is thrown. */
  async bear(error) {
    if (this.signal.aborted || error.status === 404 || error.status === 401) throw error;
    this.handlers.onProblem(error);
    await sleep((error.retryAfter ?? 2) * 1000, this.signal);
  }
}

/** No stream comes through from the beginning. */
class Blocked extends Error {}

function sleep(milliseconds, signal) {
  return new Promise((done) => {
    if (signal.aborted) return done();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end, { once: true });
  });
}

function ignore() {}
