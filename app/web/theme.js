// Dark or light: the system's, or what the switch or ?theme= says. Remembered in the address only.

import { $ } from "./dom.js";
import { rememberInAddress, say } from "./texts.js";

const { dataset } = document.documentElement;
const lightSystem = matchMedia("(prefers-color-scheme: light)");
const isLight = () => (dataset.theme ? dataset.theme === "light" : lightSystem.matches);

export function chooseTheme() {
  const asked = new URLSearchParams(location.search).get("theme");
  if (asked === "light" || asked === "dark") dataset.theme = asked;
  lightSystem.addEventListener("change", writeTheme);
}

/** Name the switch by what it leads to. */
export function writeTheme() {
  $("#theme").textContent = say(isLight() ? "toDark" : "toLight");
}

export function changeTheme() {
  dataset.theme = isLight() ? "dark" : "light";
  rememberInAddress("theme", dataset.theme);
  writeTheme();
}
