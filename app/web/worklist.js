// The list of films: what became of each, how far it is, and moving through it by keyboard.

import { $, make } from "./dom.js";
import { summary } from "./reading_panel.js";
import { say } from "./texts.js";

export class Worklist {
  #rows = new Map();

  /** @param act what a row may ask for: choose(film), remove(film), retry(film) */
  constructor(model, act) {
    this.model = model;
    this.act = act;
    $("#rows").addEventListener("keydown", (event) => this.#key(event));
  }

  /** Write all films anew: some came or went, or the language changed. */
  write(films, current) {
    this.films = films;
    this.#rows = new Map(films.map((film) => [film, this.#make(film)]));
    $("#rows").replaceChildren(...[...this.#rows.values()].map((row) => row.item));
    for (const film of films) this.update(film);
    this.choose(current);
  }

  choose(current) {
    for (const [film, { button }] of this.#rows) {
      const isCurrent = film === current;
      button.tabIndex = isCurrent ? 0 : -1;
      if (isCurrent) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      if (isCurrent) button.scrollIntoView({ block: "nearest" });
    }
  }

  focus(film) {
    this.#rows.get(film)?.button.focus();
  }

  get hasFocus() {
    return $("#rows").contains(document.activeElement);
  }

  /** Write one film's row, and the tally of all. */
  update(film) {
    const row = this.#rows.get(film);
    if (!row) return;
    row.item.className = film.outcome;
    row.state.textContent = summary(film, this.model);
    row.remove.setAttribute("aria-label", say(film.isOpen ? "cancelFilm" : "removeFilm", { name: film.name }));
    row.remove.title = film.isOpen ? say("cancel") : "";
    this.#tally();
  }

  get tally() {
    const count = (outcome) => this.films.filter((film) => film.outcome === outcome).length;
    const parts = [say("tally", { done: this.films.filter((film) => !film.isOpen).length, all: this.films.length })];
    for (const [outcome, key] of [["uncertain", "tallyUncertain"], ["refused", "tallyRefused"], ["failed", "tallyFailed"]]) {
      if (count(outcome)) parts.push(say(key, { count: count(outcome) }));
    }
    return parts.join(", ");
  }

  #tally() {
    const open = this.films.filter((film) => film.isOpen).length;
    $("#progress").max = this.films.length || 1;
    $("#progress").value = this.films.length - open;
    $("#tally").textContent = this.tally;
    $("#cancel-all").disabled = open === 0;
    $("#retry-all").disabled = !this.films.some((film) => ["failed", "cancelled"].includes(film.outcome));
    $("#export-csv").disabled = $("#export-json").disabled = open === this.films.length;
  }

  #make(film) {
    const state = make("span", { className: "row-state" });
    const button = make("button", { type: "button", className: "row", onclick: () => this.act.choose(film) },
      make("span", { className: "row-name" }, film.name), state);
    const remove = make("button", { type: "button", className: "row-remove", tabIndex: -1, onclick: () => this.act.remove(film) }, "×");
    return { item: make("li", {}, button, remove), button, state, remove };
  }

  #key(event) {
    const at = this.films.findIndex((film) => this.#rows.get(film).button === document.activeElement);
    if (at < 0) return;
    const last = this.films.length - 1;
    const to = { ArrowDown: Math.min(at + 1, last), ArrowUp: Math.max(at - 1, 0), Home: 0, End: last }[event.key];
    if (to !== undefined) {
      this.act.choose(this.films[to]);
      this.focus(this.films[to]);
    } else if (event.key === "Delete") {
      this.act.remove(this.films[at]);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
