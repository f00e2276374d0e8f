// The served model's card, and what the page says of it.

import { $, make } from "./dom.js";
import { currentLanguage, number, say } from "./texts.js";

const LABELS = ["normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"];
const HASH_DIGITS = 8;

/** Whether a hospital's own films decided what a clear answer needs. */
export const hasOwnFloors = (reading) => Boolean(reading.model.acceptance?.relied_on);

export class ModelCard {
  /** @param facts what the service told the page of its settings */
  constructor(facts) {
    this.facts = facts;
    this.card = null;
    this.reference = null; // as the last reading names the model
  }

  get labels() {
    return this.card?.labels.map((label) => label.id) ?? LABELS;
  }

  display(label) {
    return this.card?.labels.find((each) => each.id === label)?.[currentLanguage()] ?? label;
  }

  /** Whether the card is that of the model that made a Reading: a service may change models. */
  isOf(reading) {
    return this.card?.name === reading.model.name && this.card.version === reading.model.version;
  }

  /** The thresholds of a label: operating point, and what a clear answer needs; null if unknown. */
  thresholds(label, reading) {
    const { card, facts } = this;
    if (!card || facts.reweighted || !this.isOf(reading)) return { point: null, floor: null };
    const point = card.operating_points?.[label] ?? null;
    const floor = card.certainty?.floors[label];
    // A hospital's own floors stand in its acceptance file, which is not told.
    const isUnknown = hasOwnFloors(reading) || floor === undefined;
    return { point, floor: isUnknown ? null : Math.max(floor, point ?? 0) };
  }

  get priorsAreEven() {
    const shares = Object.values(this.card?.priors ?? {});
    return shares.length > 0 && shares.every((share) => Math.abs(share - shares[0]) < 1e-6);
  }

  /** Say in the foot of the page which model it is, and whether this hospital has measured it. */
  writeFoot() {
    const { name, version, sha256 } = this.reference ?? this.card ?? {};
    $("#model-name").textContent = name
      ? say("modelName", { name, version, hash: sha256.slice(0, HASH_DIGITS) })
      : say("modelUnknown");
    $("#model-name").title = sha256 ?? "";
    const told = $("#acceptance");
    told.textContent = this.acceptance;
    told.classList.toggle("warns", !this.reference?.acceptance?.relied_on);
  }

  get acceptance() {
    const measured = this.reference?.acceptance;
    if (measured) {
      const { site, date, images } = measured;
      const key = measured.relied_on ? "siteValidated" : "siteMeasured";
      return say(key, { site, date, images: number(images) });
    }
    return say(this.facts.accepted && !this.reference ? "siteToBeTold" : "siteNotValidated");
  }

  /** Write intended use, limits and population into the dialog. */
  writeLimits(body) {
    const { card } = this;
    if (!card) {
      body.replaceChildren(make("p", {}, say("limitsNone")));
      return;
    }
    const told = (text) => make("p", { lang: "en" }, text);
    const section = (key, ...children) => [make("h3", {}, say(key)), ...children];
    const english = say("limitsEnglish");
    body.replaceChildren(
      ...(english ? [make("p", { className: "quiet" }, english)] : []),
      make("p", { className: "quiet hash" }, say("modelName", { name: card.name, version: card.version, hash: card.sha256 })),
      ...section("limitsUse", told(card.intended_use)),
      ...section("limitsKnown", make("ul", { lang: "en" }, ...card.limitations.map((text) => make("li", {}, text)))),
      ...section("limitsPopulation", this.#population()),
      ...section("limitsLicence", told(card.licence)),
    );
  }

  #population() {
    const { population } = this.card;
    if (!population) return make("p", {}, "–");
    const ages = (ranges) => ranges
      .map(({ low, high }) => say("limitsAges", { low: number(low, 1), high: number(high, 1) })).join(", ");
    const rows = [
      ...this.labels.map((label) => [this.display(label), population.age_years[label]]),
      ...population.together.map((known) =>
        [`${say("limitsTogether")}: ${known.labels.map((label) => this.display(label)).join(", ")}`, known.age_years]),
    ];
    return make("div", {},
      make("dl", {}, ...rows.flatMap(([name, ranges]) =>
        [make("dt", {}, name), make("dd", {}, ranges.length ? ages(ranges) : "–")])),
      make("p", {}, say("limitsViews", { views: population.views.join(", ") })));
  }
}
