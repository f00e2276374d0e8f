// The report of one film, as it is printed; the screen doesn't show it.

import { $, make } from "./dom.js";
import { cautions, facts, track, verdict } from "./reading_panel.js";
import { subjectWords } from "./subject.js";
import { percent, say, time } from "./texts.js";

const STILL_PX = 1400;

/**
 * Write the report of a film.
 *
 * @param pictures {film, map} canvases, each null where there is none
 * @param shown {grey, mapTitle, mapNote, missing}: how they are shown, or why the film isn't
 */
export function writeReport(film, model, pictures, shown) {
  const { reading } = film;
  $("#report").replaceChildren(
    make("header", {},
      make("h1", {}, say("report")),
      make("p", {}, make("strong", {}, say("notADevice")))),
    make("div", { className: "report-pictures" },
      pictures.film
        ? figure(pictures.film, `${say("reportFilm")}. ${say("reportGrey", { grey: shown.grey })}`)
        : make("p", {}, shown.missing),
      pictures.map && figure(pictures.map, `${shown.mapTitle}. ${shown.mapNote}`)),
    make("div", { className: "report-said" },
      verdict(film, model, null),
      reading && table(reading, model),
      reading && make("p", {}, `${say("subject")}: ${subjectWords(reading) || "–"}`),
      reading && make("div", { className: "cautions" }, ...withoutIds(cautions(reading)))),
    make("dl", { className: "report-facts" }, ...facts(film, model).flatMap(([name, value]) =>
      [make("dt", {}, name), make("dd", {}, value)])),
    make("footer", {},
      make("p", {}, reading?.notice ?? `${say("notADevice")} ${say("meaning")}`),
      make("p", {}, say("reportPrinted", { time: time(new Date()) }))),
  );
}

export { STILL_PX };

const figure = (canvas, caption) => make("figure", {}, canvas, make("figcaption", {}, caption));

function withoutIds(elements) {
  for (const element of elements) element.removeAttribute("id");
  return elements;
}

function table(reading, model) {
  const cells = (tag, ...those) => make("tr", {}, ...those.map((each) => make(tag, {}, each)));
  return make("table", { className: reading.status },
    make("thead", {}, cells("th", say("reportLabel"), say("reportShare"), "", say("reportPoint"), say("reportFloor"))),
    make("tbody", {}, ...model.labels.map((label) => {
      const { point, floor } = model.thresholds(label, reading);
      const needed = floor === null ? "–" : floor < 1 ? percent(floor) : say("never");
      const share = reading.probabilities[label];
      return cells("td", model.display(label), percent(share), track(share, { point, floor }), point === null ? "–" : percent(point), needed);
    })));
}
