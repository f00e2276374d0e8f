// The calls of the service. Addresses are relative: they hold below any path of a proxy.

import { currentLanguage, say } from "./texts.js";

const LIMIT_MS = 120_000;
const BUSY = [429, 503, 504];
const MOST_WAITS = 8;

/** Why a call was not answered: the service's problem+json (RFC 9457), or one of our own. */
export class Problem extends Error {
  /** @param retryAfterS seconds to wait where trying again helps; null where it doesn't */
  constructor(members, retryAfterS = null) {
    super(members.title);
    this.members = members;
    this.retryAfterS = retryAfterS;
  }
}

export class Service {
  #key = "";
  #asking = null;
  #isDeclined = false;

  /** @param askForKey resolves to a key, or to null; is told the Problem of one refused before */
  constructor(askForKey) {
    this.askForKey = askForKey;
  }

  forgetKey() {
    this.#key = "";
    this.askAgain();
  }

  /** Ask for a key again, also whoever gave none: something new is to be read. */
  askAgain() {
    this.#isDeclined = false;
  }

  async card() {
    return (await this.#call("model", { method: "GET" })).json();
  }

  async predict(film, signal) {
    return (await this.#post("predict", film, {}, signal)).json();
  }

  async explain(film, label, signal) {
    return (await this.#post("explain", film, { format: "json", label }, signal)).json();
  }

  /** The film as a picture; only what the browser can't show itself has to come from here. */
  async preview(film, signal) {
    return (await this.#post("preview", film, { max_px: 4096 }, signal)).blob();
  }

  #post(path, film, query, signal) {
    if (film.window > 1) query = { ...query, window: film.window };
    const form = new FormData();
    if (film.age) form.append("age_years", film.age);
    if (film.view) form.append("view", film.view);
    form.append("file", film.file, "film"); // the name may be a patient's: it stays here
    return this.#call(`${path}?${new URLSearchParams(query)}`, {
      method: "POST", body: form, signal,
    });
  }

  async #call(address, { signal, ...options }) {
    for (;;) {
      const key = this.#key;
      const headers = { "Accept-Language": currentLanguage() };
      if (key) headers.Authorization = `Bearer ${key}`;
      const limit = AbortSignal.timeout(LIMIT_MS);
      let answer;
      try {
        answer = await fetch(address, {
          ...options, headers, cache: "no-store", credentials: "same-origin",
          signal: signal ? AbortSignal.any([signal, limit]) : limit,
        });
      } catch (error) {
        signal?.throwIfAborted();
        throw new Problem({ code: "unreachable", title: say("unreachable"), detail: say("unreachableHow") }, 2);
      }
      if (answer.ok) return answer;
      const problem = await problemOf(answer);
      if (asksForKey(problem) && (key !== this.#key || (await this.#renewKey(key ? problem : null)))) {
        signal?.throwIfAborted();
        continue;
      }
      throw problem;
    }
  }

  /** Ask for a key once, however many calls want one. */
  #renewKey(refused) {
    if (this.#isDeclined) return false;
    this.#asking ??= this.askForKey(refused).then((key) => {
      this.#asking = null;
      this.#key = key ?? "";
      this.#isDeclined = key === null;
      return key !== null;
    });
    return this.#asking;
  }
}

/** Do a call that is not of the worklist; where the service is busy, wait as long as it asks. */
export async function patiently(call, signal) {
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof Problem) || error.retryAfterS === null || tries === MOST_WAITS) throw error;
      await new Promise((done) => setTimeout(done, (error.retryAfterS + Math.random()) * 1000));
      signal?.throwIfAborted();
    }
  }
}

/** Whether another key would help: this one is missing, not known, or not for reading films. */
function asksForKey({ members }) {
  return members.status === 401 || members.code === "forbidden";
}

async function problemOf(answer) {
  let members;
  try {
    members = await answer.json();
    if (typeof members.title !== "string") throw new TypeError("no problem");
  } catch {
    // A proxy in front answered, in words of its own.
    members = { code: `http_${answer.status}`, title: say("proxyTitle", { status: answer.status }), detail: say("proxyHow") };
  }
  return new Problem({ ...members, status: answer.status }, retryAfterOf(answer));
}

/** Seconds that the service asks to wait (RFC 9110 section 10.2.3); null if trying again is no use. */
function retryAfterOf(answer) {
  if (!BUSY.includes(answer.status)) return null;
  const told = answer.headers.get("Retry-After");
  if (told === null) return 2;
  const seconds = /^\d+$/.test(told) ? Number(told) : (Date.parse(told) - Date.now()) / 1000;
  return Math.min(Math.max(Number.isFinite(seconds) ? seconds : 2, 0), 600);
}
