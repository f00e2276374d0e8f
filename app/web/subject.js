// Of whom a film is: age and projection, as they are asked for and as they are told.

import { make } from "./dom.js";
import { number, say } from "./texts.js";

const SHOWN_VIEWS = ["PA", "AP", "lateral"];
const AGE = /^(\d{1,3}([.,]\d*)?|\d{1,3}[dwmy])$/i;
const MOST_YEARS = 130;

/** Whom the film was read of, in words; empty if nothing is known. */
export function subjectWords(reading) {
  const { age_years: age, view } = reading.subject ?? {};
  const told = [];
  if (age !== undefined) told.push(say("subjectAge", { age: number(age, 1) }));
  if (view !== undefined) told.push(viewWord(view));
  return told.join(", ");
}

export function viewWord(view) {
  return { PA: say("viewPA"), AP: say("viewAP"), lateral: say("viewLateral") }[view] ?? say("viewOther");
}

/** Offer the projections in a select, and keep what is chosen. */
export function writeViews(select) {
  const chosen = select.value;
  select.replaceChildren(
    make("option", { value: "" }, say("viewUnknown")),
    ...SHOWN_VIEWS.map((view) => make("option", { value: view }, viewWord(view))));
  select.value = chosen;
}

export function subjectNote(film) {
  const { reading } = film;
  if (!reading) return "";
  const told = subjectWords(reading);
  if (!told) return say("subjectNothing");
  const isOfFile = reading.image.dicom && !(film.age && film.view);
  return say(isOfFile ? "subjectFromFile" : "subjectSent", { told });
}

/** Say whether an age is one, beside its field. */
export function checkAge(input, error) {
  const text = input.value.trim();
  const isOne = !text || (AGE.test(text) && !(parseFloat(text.replace(",", ".")) > MOST_YEARS && /^[\d.,]+$/.test(text)));
  setAgeError(input, error, isOne ? "" : say("ageWrong"));
  return isOne;
}

export function setAgeError(input, error, text) {
  error.textContent = text;
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}
