// A film of the worklist: a file, what is said of it, and what became of it. In memory only.

let made = 0;

export class Film {
  /** waiting, reading, done, failed or cancelled. */
  status = "waiting";
  tries = 0;
  window = 1;
  windows = 1;
  /** The label whose map is shown: undefined is the label called, "" none. */
  mapLabel = undefined;
  reading = null;
  problem = null;
  language = null;
  readAt = null;
  /** Explanations by label, and the decoded picture once it was looked at. */
  maps = new Map();
  picture = null;

  constructor(file, age = "", view = "") {
    this.id = ++made;
    this.file = file;
    this.age = age;
    this.view = view;
  }

  get name() {
    return this.file.name || `film ${this.id}`;
  }

  /** What is shown of it: waiting, reading, ok, uncertain, refused, failed or cancelled. */
  get outcome() {
    if (this.status === "done") return this.reading.status;
    if (this.status !== "failed") return this.status;
    const isOfFilm = [400, 413, 415, 422].includes(this.problem.status);
    return isOfFilm ? "refused" : "failed";
  }

  get isOpen() {
    return this.status === "waiting" || this.status === "reading";
  }

  succeed(reading, language) {
    Object.assign(this, { status: "done", reading, problem: null, language, readAt: new Date() });
    this.windows = reading.image.dicom?.windows ?? 1;
  }

  fail(problem, language) {
    // A Reading that was only asked for in another language still holds.
    if (this.reading) this.status = "done";
    else Object.assign(this, { status: "failed", problem, readAt: new Date() });
    this.language = language;
  }

  /** Forget what was read: it was of another patient, view or window. */
  forget() {
    this.reading = this.problem = this.readAt = null;
    this.maps.clear();
  }

  /** Let go of the pixels. */
  close() {
    this.picture?.bitmap.close();
    this.picture = null;
  }
}

const PNG = [0x89, 0x50, 0x4e, 0x47];
const JPEG = [0xff, 0xd8, 0xff];

/**
 * Decode a film to look at: JPEG and PNG here, at full size; all else as the service shows it, at
 * most 4096 pixels a side.
 */
export async function openPicture(film, service, signal) {
  const head = new Uint8Array(await film.file.slice(0, 4).arrayBuffer());
  const begins = (magic) => magic.every((byte, place) => head[place] === byte);
  if (begins(PNG) || begins(JPEG)) {
    try {
      return { bitmap: await createImageBitmap(film.file), window: film.window };
    } catch {
      // Damaged, or of a kind that this browser doesn't know: perhaps the service does.
    }
  }
  const window = film.window;
  const blob = await service.preview(film, signal);
  return { bitmap: await createImageBitmap(blob), window };
}

/** All files of a drop, those in folders too. */
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) found.push(await new Promise((done, fail) => entry.file(done, fail)));
    else {
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((done, fail) => reader.readEntries(done, fail));
        if (!some.length) break;
        for (const each of some) await walk(each);
      }
    }
  };
  for (const entry of entries) await walk(entry);
  return found.filter((file) => !file.name.startsWith("."));
}
