// The worklist's results as CSV and JSON, made in the browser.

import { download } from "./dom.js";

const LABELS = ["normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"];
const COLUMNS = [
  "film", "outcome", "label", "candidates", ...LABELS, "abnormal", "non_covid_pneumonia", "reasons", "warnings",
  "problem", "problem_reason", "age_years", "view", "model", "model_sha256", "image_sha256", "request_id", "read_at",
  "notice",
];

export function exportCsv(films) {
  const lines = [COLUMNS, ...films.map(rowOf)].map((row) => row.map(cell).join(","));
  // The mark tells spreadsheets that it is UTF-8.
  download(nameOf("csv"), "text/csv;charset=utf-8", `\ufeff${lines.join("\r\n")}\r\n`);
}

export function exportJson(films) {
  const results = films.map((film) => ({
    film: film.name,
    outcome: film.outcome,
    sent: { age_years: film.age || undefined, view: film.view || undefined, window: film.window },
    read_at: film.readAt?.toISOString(),
    reading: film.reading ?? undefined,
    problem: film.problem ?? undefined,
  }));
  download(nameOf("json"), "application/json", JSON.stringify({ results }, null, 2));
}

const nameOf = (suffix) => `neumo-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${suffix}`;

function rowOf(film) {
  const { reading, problem } = film;
  const codes = (those) => those?.map((each) => each.code).join(" ");
  return [
    film.name, film.outcome, reading?.label, reading?.candidates.join(" "),
    ...LABELS.map((label) => reading?.probabilities[label]), reading?.abnormal, reading?.non_covid_pneumonia,
    codes(reading?.reasons), codes(reading?.warnings), problem?.code, problem?.reason,
    reading?.subject?.age_years, reading?.subject?.view, reading?.model.name, reading?.model.sha256,
    reading?.image.sha256, (reading ?? problem)?.request_id, film.readAt?.toISOString(), reading?.notice,
  ];
}

/** A cell by RFC 4180; what a spreadsheet would take for a formula is kept a text. */
function cell(value) {
  const text = String(value ?? "");
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
