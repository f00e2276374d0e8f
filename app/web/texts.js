// The language of the page: the browser's, or what ?lang= says. Remembered in the address only.

import en from "./text_en.js";
import es from "./text_es.js";

const TEXTS = { en, es };
let language = "en";

export function chooseLanguage() {
  const asked = [new URLSearchParams(location.search).get("lang"), ...navigator.languages];
  const known = asked.map((tag) => (tag ?? "").toLowerCase().split("-")[0]);
  setLanguage(known.find((tag) => tag in TEXTS) ?? "en");
}

export function setLanguage(tag) {
  language = tag;
  document.documentElement.lang = tag;
}

export const currentLanguage = () => language;

/** A text of the page, its {places} filled. */
export function say(key, places = {}) {
  const text = TEXTS[language][key];
  if (text === undefined) throw new Error(`no text ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => places[name]);
}

/** Write the texts of what stands in the document: data-text its words, data-label its name. */
export function writeTexts(root = document) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = say(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
    if (element.tagName === "BUTTON") element.title = say(element.dataset.label);
  }
}

/** A share in per cents with one decimal; what is not 0 or 1 is not rounded to it. */
export function percent(share, digits = 1) {
  const format = new Intl.NumberFormat(language, {
    style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
  const least = 0.01 / 10 ** digits;
  if (share > 0 && share < least) return `< ${format.format(least)}`;
  if (share < 1 && share > 1 - least) return `> ${format.format(1 - least)}`;
  return format.format(share);
}

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);

export const time = (date) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long" }).format(date);

/** Remember a choice in the address, the only place that outlives a reload. */
export function rememberInAddress(name, value) {
  const address = new URL(location.href);
  address.searchParams.set(name, value);
  history.replaceState(null, "", address);
}
