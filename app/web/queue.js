// The worklist's work: a few films at once; when the service is busy, all wait as long as it asks.

import { Problem } from "./service.js";
import { currentLanguage, say } from "./texts.js";

const MOST_AT_ONCE = 3;
const MOST_TRIES = 8;
const GROWTH = 0.25; // of how many at once, with each film read after the service was busy

export class Queue {
  #waiting = [];
  #running = new Map();
  #allowed = MOST_AT_ONCE;
  #timer = null;

  /**
   * @param work (film, signal): does one film; throws a Problem
   * @param told (film): what became of a film has changed
   * @param paused (untilMs | null, problem): all wait until then, or go on
   */
  constructor(work, told, paused) {
    this.work = work;
    this.told = told;
    this.paused = paused;
  }

  add(film) {
    this.cancel(film);
    film.tries = 0;
    film.status = "waiting";
    this.#waiting.push(film);
    this.told(film);
    this.#next();
  }

  /** Stop a film, wherever it stands; return whether it was still to be done. */
  cancel(film) {
    const place = this.#waiting.indexOf(film);
    if (place >= 0) this.#waiting.splice(place, 1);
    this.#running.get(film)?.abort();
    const stopped = place >= 0 || this.#running.delete(film);
    if (stopped) {
      film.status = "cancelled";
      this.told(film);
    }
    if (!this.#waiting.length) this.#goOn();
    this.#next();
    return stopped;
  }

  #next() {
    while (this.#timer === null && this.#waiting.length && this.#running.size < Math.floor(this.#allowed)) {
      this.#do(this.#waiting.shift());
    }
  }

  async #do(film) {
    const stop = new AbortController();
    this.#running.set(film, stop);
    film.status = "reading";
    film.tries += 1;
    this.told(film);
    const isCurrent = () => this.#running.get(film) === stop;
    try {
      await this.work(film, stop.signal);
      if (!isCurrent()) return;
      this.#running.delete(film);
      this.#allowed = Math.min(this.#allowed + GROWTH, MOST_AT_ONCE);
    } catch (error) {
      if (!isCurrent()) return;
      this.#running.delete(film);
      this.#failed(film, error);
    }
    this.told(film);
    this.#next();
  }

  #failed(film, error) {
    const problem = error instanceof Problem ? error : pageProblem(error);
    if (problem.retryAfterS === null || film.tries >= MOST_TRIES) {
      film.fail(problem.members, currentLanguage());
      return;
    }
    film.status = "waiting";
    this.#waiting.unshift(film);
    this.#allowed = 1; // one asks first whether it is over
    // As long as was asked, or longer with each try; and not all pages at the same moment.
    const waitS = problem.retryAfterS || 2 ** Math.min(film.tries, 5) / 4;
    this.#pause((waitS + Math.random() / 2) * 1000, problem.members);
  }

  #pause(ms, problem) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#goOn(), ms);
    this.paused(Date.now() + ms, problem);
  }

  #goOn() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.paused(null, null);
    this.#next();
  }
}

function pageProblem(error) {
  console.error(error);
  return new Problem({ code: "page", title: say("pageFault"), detail: say("pageFaultHow") });
}
