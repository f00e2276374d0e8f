// Key, help and limits: dialogs that the keyboard opens, leaves, and comes back from.

import { $, make } from "./dom.js";
import { say } from "./texts.js";

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

/** Ask for a key; resolves to it, or to null if none is given. */
export function askForKey(refused) {
  const dialog = $("#key-dialog");
  const input = $("#key");
  $("#key-note").textContent = refused ? refused.members.detail || say("keyRefused") : say("keyAsk");
  input.value = "";
  dialog.showModal();
  input.focus();
  return new Promise((done) => {
    const stop = new AbortController();
    const end = (key) => {
      stop.abort();
      input.value = "";
      dialog.close();
      done(key);
    };
    const on = (element, event, act) => element.addEventListener(event, act, { signal: stop.signal });
    on($("#key-form"), "submit", (event) => {
      event.preventDefault();
      end(input.value.trim());
    });
    on($("#key-cancel"), "click", () => end(null));
    on(dialog, "cancel", () => end(null));
  });
}

export function showHelp() {
  const keys = (...names) => names.map((name) => make("kbd", {}, name));
  const list = (rows) => make("dl", { className: "keys" }, ...rows.flatMap(([left, text]) =>
    [make("dt", {}, ...[left].flat()), make("dd", {}, say(text))]));
  $("#help-body").replaceChildren(
    make("h3", {}, say("helpReading")),
    make("ul", {}, ...["helpReadingBars", "helpReadingUncertain", "helpReadingMap"].map((key) => make("li", {}, say(key)))),
    make("h3", {}, say("helpMouse")),
    list([
      [say("helpDragGrey"), "helpDragGreyWhat"], [say("helpDragPan"), "helpDragPanWhat"],
      [say("helpWheel"), "helpWheelWhat"], [say("helpDouble"), "helpDoubleWhat"],
    ]),
    make("h3", {}, say("helpKeys")),
    list([
      [keys("←", "→", "↑", "↓"), "helpArrows"], [keys("Shift", "←", "→", "↑", "↓"), "helpShiftArrows"],
      [keys("+", "−"), "helpZoom"], [keys("0", "1"), "helpFit"], [keys("I"), "helpInvert"],
      [keys("R"), "helpReset"], [keys("M"), "helpMap"], [keys("D"), "helpBeside"],
      [keys("N", "P"), "helpNext"], [keys("Del"), "helpDelete"],
    ]),
    make("p", {}, make("a", { href: "docs", target: "_blank", rel: "noopener" }, say("helpApi"))),
  );
  $("#help-dialog").showModal();
}

export function showLimits(model) {
  model.writeLimits($("#limits-body"));
  $("#limits-dialog").showModal();
}
