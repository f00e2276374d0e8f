// Elements without markup in strings: nothing that a file or the service says is parsed as HTML.

export const $ = (selector) => document.querySelector(selector);

/** An element with properties (or attributes: "aria-label", "data-x"), and children or texts. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Say something to screen readers, without moving the focus. */
export function announce(text) {
  $("#announcer").textContent = text;
}

/** Offer bytes made here as a file. */
export function download(name, type, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
