/* console/table.js - rows as tall as one another, of which only those in sight exist.
 *
 * Elements are made once and moved; a cell is written only when its text has changed. So a paint costs
 * the same with thirty names and with twenty thousand. */

const ROW_PX = 34; /* console.css: --row */
const SPARE = 4; /* rows painted above and below what is in sight */

export class Table {
  #scroller;
  #space;
  #make;
  #fill;
  #pool = [];
  #height = -1;

  /** make(): a new row element. fill(row, index): writes what row `index` shows. */
  constructor(scroller, space, make, fill) {
    this.#scroller = scroller;
    this.#space = space;
    this.#make = make;
    this.#fill = fill;
  }

  reset() {
    this.#pool.forEach((row) => row.remove());
    this.#pool = [];
    this.#height = -1;
    this.#scroller.scrollTop = 0;
  }

  paint(count) {
    if (count * ROW_PX !== this.#height) {
      this.#height = count * ROW_PX;
      this.#space.style.height = `${this.#height}px`;
    }
    const first = Math.max(0, Math.floor(this.#scroller.scrollTop / ROW_PX) - SPARE);
    const last = Math.min(count, Math.ceil((this.#scroller.scrollTop + this.#scroller.clientHeight) / ROW_PX) + SPARE);
    for (let at = this.#pool.length; at < last - first; at++) {
      const row = this.#make();
      this.#pool.push(row);
      this.#space.append(row);
    }
    this.#pool.forEach((row, at) => {
      const shown = first + at < last;
      if (row.hidden === shown) {
        row.hidden = !shown;
      }
      if (shown) {
        place(row, (first + at) * ROW_PX);
        row.index = first + at;
        this.#fill(row, first + at);
      }
    });
  }
}

function place(row, top) {
  if (row.top !== top) {
    row.top = top;
    row.style.transform = `translateY(${top}px)`;
  }
}

/** Writes text into a cell, if it is another than it has. */
export function write(cell, text) {
  if (cell.shown !== text) {
    cell.shown = text;
    cell.textContent = text;
  }
}

export function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}
