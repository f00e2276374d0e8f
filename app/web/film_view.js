// The film on view: its pixels, its map, how they lie beside or over each other, and its report.

import { drawActivation } from "./activation.js";
import { $, make } from "./dom.js";
import { openPicture } from "./film.js";
import { STILL_PX, writeReport } from "./report.js";
import { Problem, patiently } from "./service.js";
import { percent, say } from "./texts.js";
import { Viewer, describeGrey, describeZoom } from "./viewer.js";

const WIDE_STAGE_PX = 640;
const MOST_PICTURES = 4;

export class FilmView {
  #film = null;
  #looking = new AbortController();
  #opened = []; // films whose pixels are held, the last looked at first
  #layout = null; // film, over or beside, once chosen
  #opacity = 0.5;

  /** @param placeOf (film): where it stands in the list, as 2/20 */
  constructor(service, model, placeOf) {
    this.service = service;
    this.model = model;
    this.placeOf = placeOf;
    this.viewer = new Viewer($("#stage"), [
      { root: $("#film-pane"), canvas: $("#film-pane canvas"), hasMap: false },
      { root: $("#map-pane"), canvas: $("#map-pane canvas"), hasMap: true },
    ], () => this.#writeCorners());
  }

  /** Show a film and its map; what was still coming for the one before is given up. */
  show(film) {
    if (film !== this.#film) {
      this.viewer.lay(null);
      this.viewer.resetWindow();
    }
    this.#looking.abort();
    this.#looking = new AbortController();
    this.#film = film;
    this.#showPicture();
    this.showMap();
  }

  /** Show the film's pixels anew, by the window that is chosen now. */
  reopen() {
    this.#showPicture();
  }

  /** Let go of a film's pixels. */
  close(film) {
    this.#opened = this.#opened.filter((each) => each !== film);
    film.close();
  }

  clear() {
    this.#looking.abort();
    for (const film of this.#opened) film.close();
    this.#opened = [];
    this.#film = null;
    this.viewer.show(null);
    this.viewer.lay(null);
    this.viewer.reset();
    $("#report").replaceChildren();
    for (const corner of document.querySelectorAll(".corner:not(.doubt)")) corner.textContent = "";
  }

  async #showPicture() {
    const film = this.#film;
    const { signal } = this.#looking;
    if (film.picture?.window !== film.window) {
      film.close();
      this.viewer.show(null);
      note(say("opening"));
      try {
        film.picture = await patiently(() => openPicture(film, this.service, signal), signal);
      } catch (error) {
        if (signal.aborted) return;
        // Of a file that is no picture the browser says only that it can't decode it.
        if (!(error instanceof Problem || error instanceof DOMException)) throw error;
        note([say("notShown"), error.members?.title].filter(Boolean).join(" "));
        return;
      }
      if (signal.aborted && film !== this.#film) {
        film.close();
        return;
      }
    }
    if (signal.aborted) return;
    this.#opened = [film, ...this.#opened.filter((each) => each !== film)];
    for (const old of this.#opened.splice(MOST_PICTURES)) old.close();
    note("");
    this.viewer.show(film.picture?.bitmap ?? null);
  }

  /** Show the map of the label that is chosen, once the film was read. */
  async showMap() {
    const film = this.#film;
    const label = mapLabelOf(film);
    const { signal } = this.#looking;
    this.#writeMapTools();
    this.#lay();
    if (!label || film.maps.has(label)) return;
    writeMapNote([say("mapLoading")]);
    try {
      const explanation = await patiently(() => this.service.explain(film, label, signal), signal);
      film.maps.set(label, { explanation, canvas: drawActivation(explanation.map.cam) });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      writeMapNote([say("mapFailed", { title: error.members.title })]);
      return;
    }
    if (signal.aborted || film !== this.#film || mapLabelOf(film) !== label) return;
    this.#writeMapTools();
    this.#lay();
  }

  get #map() {
    return this.#film?.maps.get(mapLabelOf(this.#film)) ?? null;
  }

  /** Lay the map over the film: as strong as the label is likely. */
  #lay() {
    const map = this.#map;
    this.viewer.lay(map && { canvas: map.canvas, strength: this.#opacity * map.explanation.probability });
    this.writeLayout();
  }

  chooseOpacity(share) {
    this.#opacity = share;
    $("#opacity-value").textContent = percent(share, 0);
    this.#lay();
  }

  #writeMapTools() {
    const film = this.#film;
    const label = mapLabelOf(film);
    $("#map-tools").hidden = !film.reading;
    $("#map-label").replaceChildren(
      make("option", { value: "" }, say("mapNone")),
      ...this.model.labels.map((each) => make("option", { value: each }, this.model.display(each))));
    $("#map-label").value = label;
    $("#opacity").disabled = !label;
    $("#opacity-value").textContent = percent(this.#opacity, 0);
    $("#map-tools .scale").hidden = !label;
    const map = this.#map;
    if (map) writeMapNote(...this.#mapWords(map));
    else writeMapNote(!label && film.reading?.label === "normal" ? [say("mapNormal")] : []);
  }

  /** What the map means, and what to beware of. */
  #mapWords({ explanation }) {
    const { map, probability, called, status, outside_body: isOutside } = explanation;
    const label = this.model.display(map.label);
    const places = { label, share: percent(probability), rows: map.cam.length, columns: map.cam[0].length };
    const warnings = [
      called !== map.label && say("mapNotCalled", { label: this.model.display(called) }),
      status === "uncertain" && say("mapUncertain"),
      isOutside && say("mapOutside"),
    ].filter(Boolean);
    return [[say("mapWhat", places)], warnings];
  }

  #mapTitle({ explanation }) {
    const { map, probability } = explanation;
    return say("mapTitle", { label: this.model.display(map.label), share: percent(probability) });
  }

  get #wanted() {
    return this.#layout ?? usualLayout();
  }

  chooseLayout(kind) {
    this.#layout = kind;
    this.writeLayout();
  }

  toggleMap() {
    this.chooseLayout(this.#wanted === "film" ? usualLayout() : "film");
  }

  /** Lay out film and map as is wanted; without a map the film stands alone. */
  writeLayout() {
    const map = this.#map;
    const shown = map ? this.#wanted : "film";
    $("#map-pane").hidden = shown !== "beside";
    $("#stage").dataset.shown = shown;
    this.viewer.panes[0].hasMap = shown === "over";
    for (const button of document.querySelectorAll("[data-layout]")) {
      button.setAttribute("aria-pressed", String(button.dataset.layout === shown));
      button.disabled = button.dataset.layout !== "film" && !map;
    }
    const title = map ? this.#mapTitle(map) : "";
    const isDoubtful = map?.explanation.status === "uncertain";
    $("#corner-map").textContent = title;
    $("#corner-doubt").hidden = !isDoubtful;
    $("#corner-over").hidden = shown !== "over";
    $("#corner-over").textContent = isDoubtful ? `${say("uncertain")} · ${title}` : title;
    $("#corner-over").classList.toggle("doubt", isDoubtful);
    this.viewer.paint();
  }

  get #greyWords() {
    return describeGrey(this.viewer.grey, this.#film?.reading?.image.dicom);
  }

  #writeCorners() {
    const bitmap = this.#film?.picture?.bitmap;
    $("#corner-name").textContent = this.#film ? `${this.placeOf(this.#film)}  ${this.#film.name}` : "";
    $("#corner-grey").textContent = bitmap ? this.#greyWords : "";
    $("#corner-size").textContent = bitmap ? this.#sizeWords(bitmap) : "";
  }

  #sizeWords(bitmap) {
    const words = [say("zoom", { zoom: describeZoom(this.viewer.zoomShare) })];
    const image = this.#film.reading?.image;
    if (image) words.push(say("pixels", image));
    if (image && image.width !== bitmap.width) words.push(say("pixelsShown", bitmap));
    return words.join("\n");
  }

  /** Write the report of the film, as it is on view, to be printed. */
  writeReport() {
    if (!this.#film) return;
    const map = this.#map;
    const hasPicture = Boolean(this.#film.picture);
    const pictures = {
      film: hasPicture ? this.viewer.still(false, STILL_PX) : null,
      map: hasPicture && map ? this.viewer.still(true, STILL_PX) : null,
    };
    writeReport(this.#film, this.model, pictures, {
      grey: this.#greyWords,
      mapTitle: map ? this.#mapTitle(map) : "",
      mapNote: map ? this.#mapWords(map).reverse().flat().join(" ") : "",
      missing: $("#stage-note").textContent,
    });
  }
}

/** The label whose map is shown; empty where none is: normal has no place in the film. */
function mapLabelOf(film) {
  if (!film.reading) return "";
  const { label } = film.reading;
  return film.mapLabel ?? (label === "normal" ? "" : label);
}

const usualLayout = () => ($("#stage").clientWidth >= WIDE_STAGE_PX ? "beside" : "over");

function note(text) {
  $("#stage-note").hidden = !text;
  $("#stage-note").textContent = text;
}

function writeMapNote(words, warnings = []) {
  $("#map-note").replaceChildren(
    ...warnings.flatMap((text) => [make("strong", {}, text), " "]), words.join(" "));
}
