/* console/charts.js - the two charts and the small lines in rows. Without the chart library (package
 * libjs-chart.js, built in) the charts stay empty and everything else works. */

const SECONDS = 60;
const FEW = 20; /* points of a line, each drawn as a dot too: one alone makes no line */
export const COLOURS = ["#2fc7ba", "#5b8def", "#f2a65a", "#c678dd", "#e06c9f", "#9ccc65"];

function themed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options() {
  const grid = { color: themed("--line"), borderColor: themed("--line"), drawTicks: false };
  const ticks = { color: themed("--faint"), font: { size: 11 }, padding: 6 };
  return {
    animation: false,
    parsing: false,
    normalized: true,
    responsive: true,
    maintainAspectRatio: false,
    interaction: { mode: "nearest", axis: "x", intersect: false },
    elements: { point: { radius: 0, hoverRadius: 3 }, line: { borderWidth: 2, tension: .25 } },
    scales: {
      x: { type: "linear", min: -SECONDS, max: 0, grid: { ...grid, display: false },
        ticks: { ...ticks, stepSize: 15, maxRotation: 0, callback: (value) => (value === 0 ? "now" : `${value} s`) } },
      y: { grid, ticks: { ...ticks, maxTicksLimit: 6, callback: tickLabel } },
    },
    plugins: {
      legend: { display: false },
      tooltip: { callbacks: { title: (items) => `${Math.round(-items[0].parsed.x)} s ago` } },
    },
  };
}

class TimeChart {
  _chart = null;
  #settings;

  constructor(canvas, settings) {
    this.#settings = settings;
    if (globalThis.Chart !== undefined) {
      this._chart = new globalThis.Chart(canvas, { type: "line", data: { datasets: [] }, options: this.#options() });
    }
  }

  #options() {
    const all = options();
    this.#settings(all);
    return all;
  }

  themeChanged() {
    if (this._chart !== null) {
      this._chart.options = this.#options();
      this._chart.update();
    }
  }
}

/* What tells names apart: without the levels that all begin with, and all end with. */
function shortNames(names) {
  const all = names.map((name) => name.split("/"));
  const least = Math.min(...all.map((levels) => levels.length)) - 1;
  const same = (pick) => all.every((levels) => pick(levels) === pick(all[0]));
  let head = 0, foot = 0;
  while (all.length > 1 && head < least && same((levels) => levels[head])) {
    head++;
  }
  while (all.length > 1 && head + foot < least && same((levels) => levels[levels.length - 1 - foot])) {
    foot++;
  }
  return all.map((levels) => levels.slice(head, levels.length - foot).join("/"));
}

/* A tick's label: with as many decimals as its step needs, so that no two ticks read the same. */
function tickLabel(value, index, ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1].value - ticks[0].value) : 1;
  const most = Math.max(...ticks.map((tick) => Math.abs(tick.value)));
  const unit = most >= 1e9 ? 1e9 : most >= 1e6 ? 1e6 : most >= 1e4 ? 1e3 : 1;
  let decimals = 0;
  while (decimals < 9 && Math.abs(step / unit * 10 ** decimals - Math.round(step / unit * 10 ** decimals)) > 1e-6) {
    decimals++;
  }
  const text = (value / unit).toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return text + { 1: "", 1e3: "K", 1e6: "M", 1e9: "B" }[unit];
}

/* Points {time, y} of the last minute as {x: seconds ago, negative, y}. */
function shifted(points, now) {
  while (points.length > 0 && now - points[0].time > (SECONDS + 2) * 1000) {
    points.shift();
  }
  return points.map(({ time, y }) => ({ x: (time - now) / 1000, y }));
}

/** Records per second, of the last minute. */
export class RateChart extends TimeChart {
  #points = [];

  constructor(canvas) {
    super(canvas, (all) => { all.scales.y.min = 0; all.scales.y.suggestedMax = 5; });
  }

  add(now, rate) {
    this.#points.push({ time: now, y: rate });
    const data = shifted(this.#points, now);
    if (this._chart !== null) {
      this._chart.data.datasets = [{ label: "records / s", data, borderColor: COLOURS[0], fill: true,
        backgroundColor: `${COLOURS[0]}2b` }];
      this._chart.update();
    }
  }
}

/** The numbers of a few names, of the last minute, each at the time it came from: Unix milliseconds. */
export class ValuesChart extends TimeChart {
  #series = new Map(); /* name -> {colour, points, message}: the message drawn last */

  constructor(canvas) {
    super(canvas, (all) => {
      all.plugins.legend = { display: true, position: "bottom", align: "start",
        labels: { color: themed("--text"), usePointStyle: true, pointStyle: "line", boxWidth: 18, font: { size: 11 }, padding: 12 } };
    });
  }

  get names() {
    return [...this.#series.keys()];
  }

  has(name) {
    return this.#series.has(name);
  }

  colour(name) {
    return this.#series.get(name)?.colour ?? null;
  }

  /** False: there are as many as there are colours. */
  show(name) {
    const used = [...this.#series.values()].map((series) => series.colour);
    const colour = COLOURS.find((one) => !used.includes(one));
    if (colour === undefined) {
      return false;
    }
    this.#series.set(name, { colour, points: [], message: null });
    return true;
  }

  hide(name) {
    this.#series.delete(name);
  }

  forget() {
    this.#series.forEach((series) => { series.points = []; series.message = null; });
  }

  clear() {
    this.#series.clear();
  }

  /** newest(name): {message, at, y} of its newest record, or undefined; y undefined: no number.
   * True: some points are of the last minute. */
  add(now, newest) {
    let some = false;
    for (const [name, series] of this.#series) {
      const own = newest(name);
      if (own !== undefined && own.message !== series.message) {
        series.message = own.message;
        if (own.y !== undefined) {
          series.points.push({ time: Math.min(own.at, now), y: own.y });
        }
      }
      some ||= series.points.some((point) => now - point.time < SECONDS * 1000);
    }
    if (this._chart !== null) {
      const labels = shortNames(this.names);
      this._chart.data.datasets = [...this.#series.values()].map((series, index) =>
        ({ label: labels[index], data: shifted(series.points, now), borderColor: series.colour, backgroundColor: series.colour,
          pointRadius: series.points.length < FEW ? 2.5 : 0 }));
      this._chart.update();
    }
    return some;
  }
}

/** A row's numbers as a small line. */
export function spark(canvas, samples, colour) {
  const scale = globalThis.devicePixelRatio || 1;
  const width = 96 * scale, height = 22 * scale;
  if (canvas.width !== width) {
    canvas.width = width;
    canvas.height = height;
  }
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  if (samples.length < 2) {
    return;
  }
  const low = Math.min(...samples), high = Math.max(...samples);
  pen.beginPath();
  samples.forEach((y, index) => {
    const across = width - 3 * scale - (samples.length - 1 - index) * (width - 6 * scale) / 47;
    const up = high === low ? .5 : (y - low) / (high - low);
    pen.lineTo(across, height - 3 * scale - up * (height - 6 * scale));
  });
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5 * scale;
  pen.lineJoin = "round";
  pen.stroke();
}
