/* console/records.js - what the page knows of the records that arrived: the newest of each name, or a list.
 *
 * Both take a record in constant time and touch no element: painting is the table's, once per frame.
 * [C1] At most NAMES_MAX names and LIST_MAX records are kept; what is over is counted, not kept. */

const NAMES_MAX = 20000;
const LIST_MAX = 5000;
const SAMPLES = 48; /* of a name's small line */
const SAMPLE_MS = 250;
const TEXT_MAX = 400; /* of a value, in a row */

/** A value in one line. */
export function textOf(message) {
  if (message.tombstone) {
    return { text: "tombstone", odd: true };
  }
  if (message.record.base64 !== undefined) {
    const bytes = message.bytes();
    const hex = Array.from(bytes.subarray(0, 24), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    return { text: `${bytes.length} bytes: ${hex}${bytes.length > 24 ? " ..." : ""}`, odd: true };
  }
  const text = message.record.value;
  return text === "" ? { text: "empty", odd: true } : { text: text.slice(0, TEXT_MAX), odd: false };
}

/** The numbers in a value: {"": 21.5} for a plain one, {temp: .., humidity: ..} for an object's members. */
export function numbersOf(message) {
  const text = message.record.value;
  if (typeof text !== "string" || text.length > 65536) {
    return {};
  }
  const first = text.trimStart()[0];
  if (first === "{") {
    try {
      const members = JSON.parse(text);
      return Object.fromEntries(Object.entries(members).filter(([, value]) => typeof value === "number"));
    } catch {
      return {};
    }
  }
  const number = text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(number) ? { "": number } : {};
}

/** The newest record of each name, in the order of names. */
export class Latest {
  #rows = new Map();
  #order = null; /* made again when there is a new name */
  refused = 0;

  get names() {
    return this.#rows.size;
  }

  /** `old`: it was there before we listened, and counts for no rate. */
  take(message, old) {
    let row = this.#rows.get(message.name);
    if (row === undefined) {
      if (this.#rows.size >= NAMES_MAX) {
        this.refused++;
        return;
      }
      row = { name: message.name, message, at: 0, count: 0, before: 0, rate: 0, samples: [], sampled: 0, seen: null };
      this.#rows.set(message.name, row);
      this.#order = null;
    }
    row.message = message;
    row.at = old ? message.time : Date.now();
    row.count += old ? 0 : 1;
  }

  get rows() {
    if (this.#order === null) {
      this.#order = [...this.#rows.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    }
    return this.#order;
  }

  row(name) {
    return this.#rows.get(name);
  }

  /** Once a second. */
  tick(seconds) {
    for (const row of this.#rows.values()) {
      row.rate = (row.count - row.before) / seconds;
      row.before = row.count;
    }
  }

  clear() {
    this.#rows.clear();
    this.#order = null;
    this.refused = 0;
  }
}

/** Adds the row's number to its small line, if it is time and there is something new. */
export function sample(row, member, now) {
  if (now - row.sampled < SAMPLE_MS || row.seen === row.message) {
    return;
  }
  const number = numbersOf(row.message)[member];
  row.sampled = now;
  row.seen = row.message;
  if (number !== undefined) {
    row.samples.push(number);
    if (row.samples.length > SAMPLES) {
      row.samples.shift();
    }
  }
}

/** The last records, the newest first. */
export class List {
  #ring = new Array(LIST_MAX);
  #next = 0;
  taken = 0;

  take(message) {
    this.#ring[this.#next] = message;
    this.#next = (this.#next + 1) % LIST_MAX;
    this.taken++;
  }

  get size() {
    return Math.min(this.taken, LIST_MAX);
  }

  /** index 0: the newest. */
  at(index) {
    return this.#ring[(this.#next - 1 - index + 2 * LIST_MAX) % LIST_MAX];
  }

  /** As it is now, to stay so. */
  frozen() {
    const copy = Array.from({ length: this.size }, (unused, index) => this.at(index));
    return { size: copy.length, taken: this.taken, at: (index) => copy[index] };
  }

  clear() {
    this.#ring.fill(undefined);
    this.#next = 0;
    this.taken = 0;
  }
}
