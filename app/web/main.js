// The page: films come in, each is read, one is looked at. All of it lives in this tab's memory.

import { drawActivation, gradient } from "./activation.js";
import { askForKey, showHelp, showLimits } from "./dialogs.js";
import { $, announce, make } from "./dom.js";
import { exportCsv, exportJson } from "./export.js";
import { Film, filesOf, openPicture } from "./film.js";
import { ModelCard } from "./model.js";
import { Queue } from "./queue.js";
import { bars, cautions, subjectNote, summary, verdict, writeFacts, writeViews } from "./reading_panel.js";
import { STILL_PX, writeReport } from "./report.js";
import { Problem, Service, patiently } from "./service.js";
import {
  chooseLanguage, currentLanguage, number, percent, rememberInAddress, say, setLanguage, writeTexts,
} from "./texts.js";
import { Viewer, describeGrey, describeZoom } from "./viewer.js";
import { Worklist } from "./worklist.js";

const WIDE_STAGE_PX = 640;
const MOST_PICTURES = 4;
const AGE = /^(\d{1,3}([.,]\d*)?|\d{1,3}[dwmy])$/i;
const MOST_YEARS = 130;
const MEGABYTE = 1e6;

const facts = JSON.parse($("meta[name=neumo-service]").content);
const model = new ModelCard(facts);
const service = new Service(askForKey);
const queue = new Queue(read, told, paused);
const worklist = new Worklist(model, { choose, remove });
const viewer = new Viewer($("#stage"), [
  { root: $("#film-pane"), canvas: $("#film-pane canvas"), hasMap: false },
  { root: $("#map-pane"), canvas: $("#map-pane canvas"), hasMap: true },
], writeCorners);

let films = [];
let current = null;
let looking = new AbortController();
let opened = []; // films whose pixels are held, the last looked at first
let layout = null; // film, over or beside, once chosen
let opacity = 0.5;
let countdown = null;
let isFetchingCard = false;

// Reading

async function read(film, signal) {
  const language = currentLanguage();
  if (film.file.size > facts.max_body_bytes) {
    const places = { size: number(film.file.size / MEGABYTE, 1), most: number(facts.max_body_bytes / MEGABYTE, 1) };
    throw new Problem({ code: "body_too_large", status: 413, title: say("tooLarge"), detail: say("tooLargeHow", places) });
  }
  const reading = await service.predict(film, signal);
  film.succeed(reading, language);
  model.reference = reading.model;
  model.writeFoot();
  if (model.card && !model.isOf(reading)) fetchCard(); // the service serves another model now
}

/** Ask for the model's card; without it the foot says that the model is not known. */
async function fetchCard() {
  if (isFetchingCard) return;
  isFetchingCard = true;
  try {
    model.card = await patiently(() => service.card());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return;
  } finally {
    isFetchingCard = false;
  }
  model.writeFoot();
  if (!current) return;
  worklist.write(films, current);
  writeReading();
  showMap();
}

function told(film) {
  if (!films.includes(film)) return;
  worklist.update(film);
  if (film === current) {
    writeReading();
    if (film.status === "done") showMap();
  }
  if (film.isOpen) return;
  if (films.length > 1 && !films.some((each) => each.isOpen)) announce(say("doneAll", { tally: worklist.tally }));
  else if (film === current) announce(say("done", { name: film.name, said: summary(film, model) }));
}

function paused(untilMs, problem) {
  clearInterval(countdown);
  countdown = null;
  $("#pause").hidden = untilMs === null;
  if (untilMs === null) return;
  const write = () => {
    const seconds = Math.max(0, Math.ceil((untilMs - Date.now()) / 1000));
    $("#pause-count").textContent = seconds ? say("pauseCount", { seconds: number(seconds) }) : say("pauseNow");
  };
  $("#pause-title").textContent = `${problem.title}.`;
  write();
  announce(`${problem.title}. ${$("#pause-count").textContent}`);
  countdown = setInterval(write, 250);
}

// The worklist

function add(files, age = "", view = "") {
  const added = [...files].map((file) => new Film(file, age, view));
  if (!added.length) return;
  service.askAgain();
  if (!model.card) fetchCard();
  const isFirst = films.length === 0;
  films.push(...added);
  writeFilms();
  for (const film of added) queue.add(film);
  if (isFirst || added.length === 1) choose(added[0]);
  if (isFirst) $("#stage").focus({ preventScroll: true });
}

function remove(film) {
  if (queue.cancel(film)) return;
  const at = films.indexOf(film);
  const hadFocus = worklist.hasFocus;
  films.splice(at, 1);
  opened = opened.filter((each) => each !== film);
  film.close();
  if (film === current) current = films[Math.min(at, films.length - 1)] ?? null;
  writeFilms();
  if (current) choose(current);
  if (hadFocus && current) worklist.focus(current);
}

function clear() {
  for (const film of films) {
    queue.cancel(film);
    film.close();
  }
  films = [];
  current = null;
  opened = [];
  looking.abort();
  paused(null, null);
  viewer.show(null);
  viewer.reset();
  $("#report").replaceChildren();
  for (const id of ["#files", "#age", "#start-age"]) $(id).value = "";
  for (const id of ["#view", "#start-view"]) $(id).value = "";
  for (const id of ["#verdict", "#bars", "#cautions", "#facts-list", "#announcer"]) $(id).replaceChildren();
  for (const corner of document.querySelectorAll(".corner:not(.doubt)")) corner.textContent = "";
  writeFilms();
}

function choose(film) {
  const isOther = film !== current;
  current = film;
  if (isOther) document.activeElement?.matches("#age") && document.activeElement.blur();
  worklist.choose(film);
  if (film.language !== null && film.language !== currentLanguage() && !film.isOpen) queue.add(film);
  looking.abort();
  looking = new AbortController();
  if (isOther) viewer.lay(null);
  writeReading();
  showPicture(film, looking.signal);
  showMap();
}

function step(by) {
  const to = films[films.indexOf(current) + by];
  if (!to) return;
  choose(to);
  if (worklist.hasFocus) worklist.focus(to);
}

/** Write how many films there are: the start, or list, film and reading. */
function writeFilms() {
  document.body.dataset.films = films.length > 1 ? "many" : films.length ? "one" : "none";
  $("#start").hidden = films.length > 0;
  for (const id of ["#worklist", "#viewer", "#reading"]) $(id).hidden = films.length === 0;
  $("#print").disabled = films.length === 0;
  worklist.write(films, current);
}

// The film and its map

async function showPicture(film, signal) {
  if (film.picture?.window !== film.window) {
    film.close();
    viewer.show(null);
    note(say("opening"));
    try {
      film.picture = await patiently(() => openPicture(film, service, signal), signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem) && error.name !== "InvalidStateError") console.error(error);
      note(error instanceof Problem ? `${say("notShown")} ${error.members.title}` : say("notShown"));
      return;
    }
    if (!films.includes(film)) film.close();
  }
  if (signal.aborted) return;
  opened = [film, ...opened.filter((each) => each !== film)];
  for (const old of opened.splice(MOST_PICTURES)) old.close();
  note("");
  viewer.show(film.picture?.bitmap ?? null);
}

function note(text) {
  $("#stage-note").hidden = !text;
  $("#stage-note").textContent = text;
}

/** The label whose map is shown; empty where none is: normal has no place in the film. */
function mapLabelOf(film) {
  if (!film.reading) return "";
  const { label } = film.reading;
  return film.mapLabel ?? (label === "normal" ? "" : label);
}

async function showMap() {
  const film = current;
  const label = mapLabelOf(film);
  writeMapTools();
  if (!label) {
    viewer.lay(null);
    writeLayout();
    return;
  }
  const { signal } = looking;
  if (!film.maps.has(label)) {
    viewer.lay(null);
    writeMapNote([say("mapLoading")]);
    try {
      const explanation = await patiently(() => service.explain(film, label, signal), signal);
      film.maps.set(label, { explanation, canvas: drawActivation(explanation.map.cam) });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      writeMapNote([say("mapFailed", { title: error.members.title })]);
      return;
    }
  }
  if (signal.aborted || film !== current || mapLabelOf(film) !== label) return;
  layMap();
  writeMapTools();
  writeLayout();
}

function shownMap() {
  return current?.maps.get(mapLabelOf(current)) ?? null;
}

/** Lay the map over the film: as strong as the label is likely. */
function layMap() {
  const map = shownMap();
  viewer.lay(map && { canvas: map.canvas, strength: opacity * map.explanation.probability });
}

function writeMapTools() {
  const label = mapLabelOf(current);
  $("#map-tools").hidden = !current.reading;
  $("#map-label").replaceChildren(
    make("option", { value: "" }, say("mapNone")),
    ...model.labels.map((each) => make("option", { value: each }, model.display(each))));
  $("#map-label").value = label;
  $("#opacity").disabled = !label;
  $("#opacity-value").textContent = percent(opacity, 0);
  $("#map-tools .scale").hidden = !label;
  const map = shownMap();
  if (map) writeMapNote(...mapWords(map));
  else if (!label && current.reading?.label === "normal") writeMapNote([say("mapNormal")]);
  else writeMapNote([]);
}

/** What the map means, and what to beware of. */
function mapWords({ explanation }) {
  const { map, probability, called, status, outside_body: outside } = explanation;
  const label = model.display(map.label);
  const words = [say("mapWhat", { label, share: percent(probability), rows: map.cam.length, columns: map.cam[0].length })];
  const warnings = [];
  if (called !== map.label) warnings.push(say("mapNotCalled", { label: model.display(called) }));
  if (status === "uncertain") warnings.push(say("mapUncertain"));
  if (outside) warnings.push(say("mapOutside"));
  return [words, warnings];
}

function writeMapNote(words, warnings = []) {
  $("#map-note").replaceChildren(
    ...warnings.flatMap((text) => [make("strong", {}, text), " "]), words.join(" "));
}

const usualLayout = () => ($("#stage").clientWidth >= WIDE_STAGE_PX ? "beside" : "over");

function writeLayout() {
  const chosen = layout ?? usualLayout();
  const shown = shownMap() ? chosen : "film";
  $("#map-pane").hidden = shown !== "beside";
  $("#stage").dataset.shown = shown;
  viewer.panes[0].hasMap = shown === "over";
  for (const button of document.querySelectorAll("[data-layout]")) {
    button.setAttribute("aria-pressed", String(button.dataset.layout === shown));
    button.disabled = button.dataset.layout !== "film" && !shownMap();
  }
  const map = shownMap();
  const title = map ? mapTitle(map) : "";
  const isDoubtful = map?.explanation.status === "uncertain";
  $("#corner-map").textContent = title;
  $("#corner-doubt").hidden = !isDoubtful;
  $("#corner-over").hidden = shown !== "over";
  $("#corner-over").textContent = isDoubtful ? `${say("uncertain")} · ${title}` : title;
  $("#corner-over").classList.toggle("doubt", isDoubtful);
  viewer.paint();
}

function mapTitle({ explanation }) {
  return say("mapTitle", { label: model.display(explanation.map.label), share: percent(explanation.probability) });
}

function chooseLayout(kind) {
  layout = kind;
  writeLayout();
}

function writeCorners() {
  const bitmap = current?.picture?.bitmap;
  $("#corner-name").textContent = current ? `${films.indexOf(current) + 1}/${films.length}  ${current.name}` : "";
  $("#corner-grey").textContent = bitmap ? describeGrey(viewer.grey, current.reading?.image.dicom) : "";
  $("#corner-size").textContent = bitmap ? sizeWords(bitmap) : "";
}

function sizeWords(bitmap) {
  const words = [say("zoom", { zoom: describeZoom(viewer.zoomShare) })];
  const image = current.reading?.image;
  if (image) words.push(say("pixels", image));
  if (image && image.width !== bitmap.width) words.push(say("pixelsShown", bitmap));
  return words.join("\n");
}

// The reading

function writeReading() {
  const film = current;
  const { reading } = film;
  const hadFocus = $("#verdict").contains(document.activeElement);
  $("#verdict").replaceChildren(verdict(film, model, { cancel: () => queue.cancel(film), retry: () => again(film) }));
  if (hadFocus) ($("#verdict button") ?? $("#stage")).focus({ preventScroll: true });
  $("#bars").replaceChildren(...(reading ? bars(reading, model) : []));
  $("#cautions").replaceChildren(...(reading ? cautions(reading) : []));
  $("#bars").hidden = !reading;
  $("#cautions").hidden = !reading?.warnings.length;
  if (document.activeElement !== $("#age")) {
    $("#age").value = film.age;
    setAgeError($("#age"), $("#age-error"), "");
  }
  $("#view").value = film.view;
  const { age_years: age, view } = reading?.subject ?? {};
  $("#age").placeholder = age === undefined ? "" : number(age, 1);
  $("#view").options[0].textContent = !film.view && view ? `${say("viewUnknown")} (${view})` : say("viewUnknown");
  $("#subject-note").textContent = subjectNote(film);
  $("#window-field").hidden = film.windows < 2;
  $("#window").replaceChildren(...Array.from({ length: film.windows }, (_, at) =>
    make("option", { value: at + 1 }, say("windowOf", { number: at + 1, all: film.windows }))));
  $("#window").value = film.window;
  writeFacts(film, model);
  $("#map-tools").hidden = !reading;
  if (!reading) {
    viewer.lay(null);
    writeLayout();
  }
  viewer.paint();
}

function again(film) {
  service.askAgain();
  film.forget();
  queue.add(film);
}

/** Say whether an age is one, beside its field. */
function checkAge(input, error) {
  const text = input.value.trim();
  const isOne = !text || (AGE.test(text) && !(parseFloat(text.replace(",", ".")) > MOST_YEARS && /^[\d.,]+$/.test(text)));
  setAgeError(input, error, isOne ? "" : say("ageWrong"));
  return isOne;
}

function setAgeError(input, error, text) {
  error.textContent = text;
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

// Printing

function fillReport() {
  if (!current) return;
  const bitmap = current.picture?.bitmap;
  const map = shownMap();
  const pictures = {
    film: bitmap ? viewer.still(false, STILL_PX) : null,
    map: bitmap && map ? viewer.still(true, STILL_PX) : null,
  };
  writeReport(current, model, pictures, {
    grey: describeGrey(viewer.grey, current.reading?.image.dicom),
    mapTitle: map ? mapTitle(map) : "",
    mapNote: map ? mapWords(map).reverse().flat().join(" ") : "",
  });
}

// Language and theme

function changeLanguage(tag) {
  setLanguage(tag);
  rememberInAddress("lang", tag);
  writeAll();
  if (current) choose(current);
}

function writeAll() {
  writeTexts();
  for (const id of ["#start-view", "#view"]) writeViews($(id));
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
  }
  document.title = `Neumo: ${say("tagline")}`;
  writeTheme();
  model.writeFoot();
  worklist.write(films, current);
}

const isLight = () => {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "light" : matchMedia("(prefers-color-scheme: light)").matches;
};

function writeTheme() {
  $("#theme").textContent = say(isLight() ? "toDark" : "toLight");
}

function changeTheme() {
  const theme = isLight() ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
  rememberInAddress("theme", theme);
  writeTheme();
}

// Wiring

function on(selector, event, act) {
  for (const element of document.querySelectorAll(selector)) element.addEventListener(event, act);
}

function start() {
  const theme = new URLSearchParams(location.search).get("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  $(".scale-colours").style.background = gradient();
  chooseLanguage();
  writeAll();
  writeFilms();
  pressDrag("grey");
  fetchCard();
}

function pressDrag(kind) {
  viewer.dragBy(kind);
  for (const button of document.querySelectorAll("[data-drag]")) {
    button.setAttribute("aria-pressed", String(button.dataset.drag === kind));
  }
}

function pressInvert() {
  viewer.invert();
  $("#invert").setAttribute("aria-pressed", String(viewer.grey.inverted));
}

function pressReset() {
  viewer.reset();
  $("#invert").setAttribute("aria-pressed", "false");
}

on("#choose, #add", "click", () => $("#files").click());
on("#files", "change", (event) => {
  addFromStart(event.target.files);
  event.target.value = "";
});

/** Add films; what is said at the start holds for those added there, not for later patients. */
function addFromStart(files) {
  if (films.length) add(files);
  else if (checkAge($("#start-age"), $("#start-age-error"))) add(files, $("#start-age").value.trim(), $("#start-view").value);
  else $("#start-age").focus();
}

on("#start-age", "change", () => checkAge($("#start-age"), $("#start-age-error")));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  addFromStart(await filesOf(event.dataTransfer));
});
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) addFromStart(event.clipboardData.files);
});

on("#print", "click", () => print());
addEventListener("beforeprint", fillReport);
on("#help", "click", showHelp);
on("#limits", "click", () => showLimits(model));
on("#theme", "click", changeTheme);
matchMedia("(prefers-color-scheme: light)").addEventListener("change", writeTheme);
on("[data-language]", "click", (event) => changeLanguage(event.currentTarget.dataset.language));
on("#cancel-all", "click", () => films.forEach((film) => queue.cancel(film)));
on("#retry-all", "click", () => {
  for (const film of films) if (["failed", "cancelled"].includes(film.outcome)) again(film);
});
on("#export-csv", "click", () => exportCsv(films));
on("#export-json", "click", () => exportJson(films));
on("#clear", "click", () => {
  clear();
  $("#choose").focus();
});

on("[data-drag]", "click", (event) => pressDrag(event.currentTarget.dataset.drag));
on("[data-layout]", "click", (event) => chooseLayout(event.currentTarget.dataset.layout));
on("#zoom-in", "click", () => viewer.zoom(1.25));
on("#zoom-out", "click", () => viewer.zoom(0.8));
on("#zoom-fit", "click", () => viewer.fit());
on("#zoom-actual", "click", () => viewer.actual());
on("#invert", "click", pressInvert);
on("#reset", "click", pressReset);
on("#window", "change", (event) => {
  current.window = Number(event.target.value);
  again(current);
  showPicture(current, looking.signal);
});
on("#map-label", "change", (event) => {
  current.mapLabel = event.target.value;
  showMap();
});
on("#opacity", "input", (event) => {
  opacity = event.target.valueAsNumber / 100;
  $("#opacity-value").textContent = percent(opacity, 0);
  layMap();
});
on("#age", "change", (event) => {
  if (!checkAge(event.target, $("#age-error"))) return;
  current.age = event.target.value.trim();
  again(current);
});
on("#view", "change", (event) => {
  current.view = event.target.value;
  again(current);
});

on("#stage, #rows", "keydown", (event) => {
  if (!current || event.ctrlKey || event.metaKey || event.altKey) return;
  const acts = {
    i: pressInvert, r: pressReset, n: () => step(1), p: () => step(-1),
    PageDown: () => step(1), PageUp: () => step(-1),
    m: () => chooseLayout((layout ?? usualLayout()) === "film" ? usualLayout() : "film"),
    d: () => chooseLayout("beside"),
  };
  const act = acts[event.key] ?? acts[event.key.toLowerCase()];
  if (act) act();
  else if (!viewer.key(event)) return;
  event.preventDefault();
});

// What was here is gone once the page is left, also for who comes back to it.
addEventListener("pagehide", () => {
  clear();
  service.forgetKey();
});

start();
