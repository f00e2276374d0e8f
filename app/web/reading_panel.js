// What is said of a film: verdict, bars, cautions, whom it was read of, facts.

import { $, make } from "./dom.js";
import { hasOwnFloors } from "./model.js";
import { currentLanguage, number, percent, say, time } from "./texts.js";

/** What is said of a film in one line: for the list, and for screen readers. */
export function summary(film, model) {
  const outcome = say(`outcome_${film.outcome}`);
  if (film.outcome === "ok") {
    const { label, probabilities } = film.reading;
    return `${model.display(label)} ${percent(probabilities[label])}`;
  }
  if (film.outcome === "refused" && film.problem.title) return `${outcome}: ${film.problem.title}`;
  return outcome;
}

/** The verdict: never a label where none is called. */
export function verdict(film, model, actions) {
  const { outcome, reading, problem } = film;
  const box = make("div", { className: `verdict ${reading ? reading.status : outcome}` });
  if (film.isOpen && !reading && !problem) {
    box.append(make("p", { className: "verdict-state" }, say(film.status === "reading" ? "readingNow" : "waitingNow")));
    if (actions) box.append(action("cancel", actions.cancel));
  } else if (outcome === "cancelled" && !reading) {
    box.append(make("p", { className: "verdict-state" }, say("cancelledNow")));
    if (actions) box.append(action("retry", actions.retry));
  } else if (problem) {
    box.append(
      make("p", { className: "verdict-state" }, say(outcome === "refused" ? "refused" : "failed")),
      make("p", { className: "verdict-title" }, problem.title ?? ""),
      make("p", { className: "detail" }, problem.detail ?? ""),
      make("p", { className: "quiet" }, say("noFinding")),
      make("p", { className: "quiet fine" }, [
        say("code", { code: problem.code }),
        problem.request_id && say("requestId", { id: problem.request_id }),
      ].filter(Boolean).join(" · ")),
    );
    if (actions) box.append(action("retry", actions.retry));
  } else {
    box.append(...(reading.status === "uncertain" ? doubt(reading, model) : call(reading)));
  }
  return box;
}

const action = (key, act) => make("button", { type: "button", onclick: act }, say(key));

function call(reading) {
  return [
    make("p", { className: "verdict-state" }, say("called")),
    make("p", { className: "verdict-label" }, reading.display_label,
      make("span", { className: "verdict-share" }, percent(reading.probabilities[reading.label]))),
    make("p", { className: "quiet" }, reading.label === "normal" ? `${say("okNormal")} ${say("okWhat")}` : say("okWhat")),
  ];
}

function doubt(reading, model) {
  const names = reading.candidates.map((label) => model.display(label));
  const list = new Intl.ListFormat(currentLanguage(), { type: "conjunction" }).format(names);
  return [
    make("p", { className: "verdict-state" }, say("uncertain")),
    make("p", { className: "verdict-title" }, say("uncertainWhat")),
    make("p", {}, names.length > 1
      ? say("inDoubt", { labels: list })
      : say("likeliest", { label: reading.display_label })),
    make("ul", { className: "reasons" }, ...reading.reasons.map((reason) => make("li", {}, reason.message))),
  ];
}

/** The four bars, with where each label's thresholds lie. */
export function bars(reading, model) {
  const { facts } = model;
  const rows = model.labels.map((label) => row(label, reading, model));
  const thresholds = model.labels.map((label) => model.thresholds(label, reading));
  let note = say("barsWhat", { even: model.priorsAreEven ? say("barsEven") : "" });
  if (facts.reweighted) note = say("barsReweighted");
  else if (hasOwnFloors(reading)) note = `${note} ${say("barsSite")}`;
  return [
    make("h3", { id: "bars-title" }, say("bars")),
    make("ul", { className: `bar-rows ${reading.status}` }, ...rows),
    make("p", { className: "bar-sum" }, make("span", {}, say("barsSum")),
      make("span", { className: "figure" }, percent(reading.non_covid_pneumonia))),
    make("p", { className: "bar-key quiet", "aria-hidden": "true" },
      thresholds.some(({ point }) => point !== null) && make("span", { className: "key-point" }, say("operatingPoint")),
      thresholds.some(({ floor }) => floor !== null) && make("span", { className: "key-floor" }, say("floor"))),
    make("p", { className: "quiet" }, note),
  ];
}

/** A bar of a share, from 0 to 1, with a tick for each threshold. */
export function track(share, { point, floor }) {
  const bar = make("span", { className: "track", "aria-hidden": "true" });
  const fill = make("span", { className: "fill" });
  fill.style.width = `${share * 100}%`;
  bar.append(fill);
  const mark = (className, at) => {
    const tick = make("span", { className });
    tick.style.left = `${at * 100}%`;
    bar.append(tick);
  };
  if (point !== null) mark("point", point);
  if (floor !== null && floor < 1) mark("floor", floor);
  return bar;
}

function row(label, reading, model) {
  const share = reading.probabilities[label];
  const { point, floor } = model.thresholds(label, reading);
  const words = [say("barLabel", { label: model.display(label), share: percent(share), point: point === null ? "–" : percent(point) })];
  if (floor !== null) words.push(floor < 1 ? say("barFloor", { floor: percent(floor) }) : say("barNever"));
  const isCalled = reading.status === "ok" && label === reading.label;
  return make("li", { className: isCalled ? "called" : "", title: words.join(" ") },
    make("span", { className: "bar-label", "aria-hidden": "true" }, model.display(label),
      floor !== null && floor >= 1 ? make("small", {}, say("never")) : null),
    make("span", { className: "figure", "aria-hidden": "true" }, percent(share)),
    track(share, { point, floor }),
    make("span", { className: "unseen" }, words.join(" ")));
}

export function cautions(reading) {
  if (!reading.warnings.length) return [];
  return [
    make("h3", { id: "cautions-title" }, say("cautions")),
    make("ul", {}, ...reading.warnings.map((warning) => make("li", {}, warning.message))),
  ];
}

/** Facts of file and model as pairs of a name and a value. */
export function facts(film, model) {
  const pairs = [[say("factFile"), film.name]];
  const { reading } = film;
  if (!reading) return pairs;
  const { image, timing_ms: timing } = reading;
  const { dicom } = image;
  pairs.push([say("factImage"), say("pixels", { ...image, width: number(image.width), height: number(image.height) })]);
  if (dicom) {
    const { window } = dicom;
    const values = window.width ? `W ${number(window.width, 1)} L ${number(window.center, 1)}` : "";
    pairs.push(
      [say("factDicom"), `${dicom.photometric_interpretation}, ${dicom.transfer_syntax_name}`],
      [say("factWindow"), [window.rendering === "full" ? say("windowFull") : window.rendering.replaceAll("_", " "), values].filter(Boolean).join(", ")]);
  }
  pairs.push(
    [say("factHash"), image.sha256],
    [say("factModel"), `${reading.model.name}, ${model.acceptance}`],
    [say("factModelHash"), reading.model.sha256],
    [say("factRequest"), reading.request_id],
    [say("factTime"), time(film.readAt)],
    [say("factTook"), say("milliseconds", { count: number(timing.total, 1) })]);
  return pairs;
}

export function writeFacts(film, model) {
  $("#facts-list").replaceChildren(...facts(film, model).flatMap(([name, value]) =>
    [make("dt", {}, name), make("dd", {}, value)]));
}
