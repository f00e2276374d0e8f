// The page: films come in, each is read, one is looked at. All of it lives in this tab's memory.

import { gradient } from "./activation.js";
import { askForKey, showHelp, showLimits } from "./dialogs.js";
import { $, announce, make } from "./dom.js";
import { exportCsv, exportJson } from "./export.js";
import { Film, filesOf } from "./film.js";
import { FilmView } from "./film_view.js";
import { ModelCard } from "./model.js";
import { Queue } from "./queue.js";
import { bars, cautions, summary, verdict, writeFacts } from "./reading_panel.js";
import { Problem, Service, patiently } from "./service.js";
import { checkAge, setAgeError, subjectNote, viewWord, writeViews } from "./subject.js";
import {
  chooseLanguage, currentLanguage, number, rememberInAddress, say, setLanguage, writeTexts,
} from "./texts.js";
import { changeTheme, chooseTheme, writeTheme } from "./theme.js";
import { Worklist } from "./worklist.js";

const MEGABYTE = 1e6;

const facts = JSON.parse($("meta[name=neumo-service]").content);
const model = new ModelCard(facts);
const service = new Service(askForKey);
const queue = new Queue(read, told, paused);
const worklist = new Worklist(model, { choose, remove });
const view = new FilmView(service, model, (film) => `${films.indexOf(film) + 1}/${films.length}`);
const { viewer } = view;

let films = [];
let current = null;
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
  view.showMap();
}

function told(film) {
  if (!films.includes(film)) return;
  worklist.update(film);
  if (film === current) {
    writeReading();
    if (!film.isOpen || !film.reading) view.showMap();
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
  view.close(film);
  if (film === current) current = films[Math.min(at, films.length - 1)] ?? null;
  writeFilms();
  if (current) choose(current);
  else view.clear();
  if (hadFocus) (current ? worklist.focus(current) : $("#choose").focus());
}

function clear() {
  for (const film of films) queue.cancel(film);
  films = [];
  current = null;
  paused(null, null);
  view.clear();
  for (const id of ["#files", "#age", "#start-age"]) $(id).value = "";
  for (const id of ["#view", "#start-view"]) $(id).value = "";
  for (const id of ["#verdict", "#bars", "#cautions", "#facts-list", "#announcer"]) $(id).replaceChildren();
  writeFilms();
}

function choose(film) {
  if (film !== current && document.activeElement === $("#age")) $("#age").blur();
  current = film;
  worklist.choose(film);
  if (film.language !== null && film.language !== currentLanguage() && !film.isOpen) queue.add(film);
  writeReading();
  view.show(film);
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
  $("#view").options[0].textContent = !film.view && view ? say("viewFromFile", { view: viewWord(view) }) : say("viewUnknown");
  $("#subject-note").textContent = subjectNote(film);
  $("#window-field").hidden = film.windows < 2;
  $("#window").replaceChildren(...Array.from({ length: film.windows }, (_, at) =>
    make("option", { value: at + 1 }, say("windowOf", { number: at + 1, all: film.windows }))));
  $("#window").value = film.window;
  writeFacts(film, model);
  $("#map-tools").hidden = !reading;
  viewer.paint();
}

function again(film) {
  service.askAgain();
  film.forget();
  queue.add(film);
}

// Language

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

// Wiring

function on(selector, event, act) {
  for (const element of document.querySelectorAll(selector)) element.addEventListener(event, act);
}

function start() {
  chooseTheme();
  $("#audited").hidden = !facts.audited;
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
addEventListener("beforeprint", () => view.writeReport());
on("#help", "click", showHelp);
on("#limits", "click", () => showLimits(model));
on("#theme", "click", changeTheme);
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
on("[data-layout]", "click", (event) => view.chooseLayout(event.currentTarget.dataset.layout));
on("#zoom-in", "click", () => viewer.zoom(1.25));
on("#zoom-out", "click", () => viewer.zoom(0.8));
on("#zoom-fit", "click", () => viewer.fit());
on("#zoom-actual", "click", () => viewer.actual());
on("#invert", "click", pressInvert);
on("#reset", "click", pressReset);
on("#window", "change", (event) => {
  current.window = Number(event.target.value);
  again(current);
  view.reopen();
});
on("#map-label", "change", (event) => {
  current.mapLabel = event.target.value;
  view.showMap();
});
on("#opacity", "input", (event) => {
  view.chooseOpacity(event.target.valueAsNumber / 100);
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
    m: () => view.toggleMap(),
    d: () => view.chooseLayout("beside"),
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
