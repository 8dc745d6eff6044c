// Asking no more often than the server can answer.

/** Calls `question` when somebody asks, one at a time, and never sooner than so long after the last answer. */
export class Regularly {
  constructor(milliseconds, question) {
    this.milliseconds = milliseconds;
    this.question = question;
    this.isAsking = false;
    this.isWanted = false;
  }

  /** Ask now, or as soon as it may be asked again. */
  async ask() {
    this.isWanted = true;
    if (this.isAsking) return;
    this.isAsking = true;
    while (this.isWanted) {
      this.isWanted = false;
      await this.question();
      await new Promise((done) => setTimeout(done, this.milliseconds));
    }
    this.isAsking = false;
  }
}
