/* console/console.js - the page: one connection, one subscription, and what is shown of them.
 *
 *     record --take--> Latest and List          any number of times between two frames
 *     frame  --paint-> rows in sight            once, and only when something changed
 *     second --tick--> rates, rate chart        values chart four times a second
 *
 * Happy path: connect() reaches the gateway that served the page; the filter is tailed; the browser stays
 * free because a record costs a map entry and a frame costs the rows in sight. Failures: weir.js connects
 * again and goes on where it was; the pill in the header says so. What is refused is shown where it was
 * asked for. The connection is `weir` in the developer console. */
import { connect } from "./weir.js";
import { RateChart, ValuesChart, spark } from "./charts.js";
import { GROUP_COLUMNS, groupCommandsOf, groupMembersOf, groupRowFill, groupRowMake, groupTextOf } from "./groups.js";
import { Latest, List, numbersOf, sample, textOf } from "./records.js";
import { Table, element, write } from "./table.js";

const LOCAL_CREDIT = 10000; /* records that may wait between two frames */
const VALUES_EVERY_MS = 250;
const TOPICS_EVERY_MS = 2000;
const GROUPS_EVERY_MS = 1000; /* while they are looked at */
const TOPICS_LOOKED_INTO = 50; /* whose offsets are asked for */
const SHOWN_AT_FIRST = 4; /* lines that the values chart chooses itself ... */
const SHOWN_MS = 60000; /* ... of names that had a record so lately: the chart's width */

const at = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const latest = new Latest();
const list = new List();
const counts = { records: 0, old: 0, replaced: 0, dropped: 0 }; /* since the last clear; replaced: to be added */
let began = Date.now(); /* records before this are history, until settled */
let settled = false;
let view = "latest";
let frozen = null; /* the list while paused */
let paused = false;
let dirty = true;
let chosen = null; /* the message in the detail card */
let groups = []; /* as they were told last */
let groupsAsked = false; /* an answer is under way */
let groupChosen = null; /* the name of the one in the detail card */
let member = ""; /* the member of JSON values that is drawn */
let memberChosen = false;
let subscription = null;
let trouble = null; /* why nothing comes */
let weir = null;
const rates = new RateChart(at("rate-chart"));
const values = new ValuesChart(at("values-chart"));

/* What stands where nothing has come yet. */
const ARRIVED_HINT = at("table-hint").innerHTML;
const HINTS = { latest: ARRIVED_HINT, list: ARRIVED_HINT,
  groups: "No groups yet. Try <code>weir group join billing --topic site</code>, or <code>weir queue create jobs</code>." };

/* ---- Small things ---------------------------------------------------------------------------- */

function quoted(text) {
  return /^[\w./:=@%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB") + "." + String(time % 1000).padStart(3, "0");
}

function ago(time) {
  const seconds = Math.max(0, (Date.now() - time) / 1000);
  return seconds < 1.5 ? "now" : seconds < 90 ? `${Math.round(seconds)} s ago`
    : seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : new Date(time).toLocaleDateString("en-GB");
}

document.addEventListener("click", (event) => {
  const command = event.target.closest(".copy");
  if (command !== null) {
    navigator.clipboard?.writeText(command.textContent).then(() => {
      command.classList.add("copied");
      setTimeout(() => command.classList.remove("copied"), 900);
    }, () => {});
  }
});

/* ---- Records ---------------------------------------------------------------------------------- */

/* What was there before we listened is history: it counts for no rate, and is drawn where it was. Once
 * nothing more of it comes for a second, all that comes is new, whatever its time says. */
function take(message) {
  const old = !settled && (message.retained || (!message.live && message.time < began));
  latest.take(message, old);
  list.take(message);
  counts.records++;
  counts.old += old ? 1 : 0;
  dirty = true;
}

async function read(own) {
  own.on("dropped", ({ count }) => { counts.dropped += count; });
  try {
    for await (const message of own) {
      take(message);
    }
  } catch (error) {
    if (own === subscription) {
      trouble = error.text ?? String(error);
      troubleShow(error.code === "name-invalid" ? filterTrouble(own.filter, trouble) : "");
      dirty = true;
    }
  }
}

/* Why this is no filter: the first fault that is found, or what the gateway says. */
function filterTrouble(filter, said) {
  const levels = filter.split("/");
  const hash = levels.findIndex((level) => level.includes("#"));
  if (levels.some((level) => level.length > 1 && /[#+]/.test(level))) {
    return `No filter: ${filter}. # and + each stand for whole levels: write a/# or a/+/b, not a# or a+.`;
  }
  if (hash >= 0 && hash < levels.length - 1) {
    return `No filter: ${filter}. # may stand only at the end: ${levels.slice(0, hash + 1).join("/")} is one.`;
  }
  return said;
}

function troubleShow(wrong) {
  at("filter").setAttribute("aria-invalid", String(wrong !== ""));
  at("filter-error").hidden = wrong === "";
  write(at("filter-error"), wrong);
  at("table-hint").hidden = trouble !== null;
  write(at("table-trouble"), trouble === null ? "" : wrong !== "" ? "Nothing is read: correct the filter above." : trouble);
}

function tail() {
  const filter = at("filter").value.trim() || "#";
  const from = at("from").value;
  subscription?.close();
  subscription = null;
  historyBegin();
  clear();
  if (weir !== null) {
    subscription = weir.subscribe(filter, view !== "list"
      ? { from, onSlow: "last-value", retained: true }
      : { from, onSlow: "drop-oldest", credit: LOCAL_CREDIT });
    read(subscription);
  }
  history.replaceState(null, "", "#" + new URLSearchParams({ filter, from, view }));
  commandShow();
}

function historyBegin() {
  began = Date.now();
  settled = false;
}

function commandShow() {
  const from = { "end": "", "beginning": " --from beginning" }[at("from").value] ??
    ` --from -${at("from").value.slice(5)}`;
  const format = view === "latest" ? "" : " -F '%T %n %s'";
  write(at("tail-command"), view === "groups" ? "weir group ls" :
    `weir sub ${quoted(at("filter").value.trim() || "#")}${from}${format}`);
}

function clear() {
  latest.clear();
  list.clear();
  frozen = null;
  values.clear();
  Object.assign(counts, { records: 0, old: 0, replaced: -(subscription?.replaced ?? 0), dropped: 0 });
  Object.assign(lastTick, { records: 0, old: 0, replaced: 0 });
  table.reset();
  trouble = null;
  troubleShow("");
  dirty = true;
}

/* ---- The table -------------------------------------------------------------------------------- */

function rowMake() {
  if (view === "groups") {
    return groupRowMake();
  }
  const cells = view === "latest"
    ? [element("button", "dot"), element("span", "name"), element("span", "value"), element("canvas"),
      element("span", "number drawn"), element("span", "number"), element("span", "number")]
    : [element("span", "number time"), element("span", "name"), element("span", "value"), element("span", "number")];
  const row = element("div", "row", ...cells);
  row.cells = cells;
  return row;
}

function valueFill(cell, message) {
  if (cell.message !== message) { /* turning a value into a line costs more than looking */
    const { text, odd } = textOf(message);
    cell.message = message;
    cell.classList.toggle("odd", odd);
    write(cell, text);
  }
}

function rowFill(row, index) {
  if (view === "groups") {
    groupRowFill(row, groups[index], groupChosen);
    return;
  }
  if (view === "list") {
    listFill(row, (frozen ?? list).at(index));
    return;
  }
  const own = latest.rows[index];
  const [dot, name, value, line, drawn, rate, time] = row.cells;
  row.message = own.message;
  row.classList.toggle("chosen", chosen?.name === own.name);
  write(name, own.name);
  if (value.message !== own.message) {
    const now = numbersOf(own.message)[member];
    write(drawn, now === undefined ? "" : digits.format(now));
  }
  valueFill(value, own.message);
  write(rate, own.rate === 0 ? "" : own.rate < 10 ? own.rate.toFixed(1) : number.format(Math.round(own.rate)));
  write(time, ago(own.message.time));
  const colour = values.colour(own.name) ?? "";
  if (dot.colour !== colour) {
    dot.colour = colour;
    dot.style.background = dot.style.borderColor = colour;
  }
  const before = own.sampled;
  sample(own, member, performance.now());
  if (own.sampled !== before || line.row !== own || line.colour !== colour) {
    line.row = own;
    line.colour = colour;
    spark(line, own.samples, colour || "#7890a8");
  }
}

function listFill(row, message) {
  const [time, name, value, place] = row.cells;
  row.message = message;
  row.classList.toggle("chosen", chosen === message);
  write(time, clock(message.time));
  write(name, message.name);
  valueFill(value, message);
  write(place, message.live ? "live" : `${message.partition} : ${number.format(message.offset)}`);
}

const table = new Table(at("table"), at("space"), rowMake, rowFill);

function columnsShow() {
  const names = view === "groups" ? GROUP_COLUMNS : view === "latest" ? [["", ""], ["Name", ""], ["Value", ""], ["", ""], [member, "number"], ["per s", "number"], ["Time", "number"]]
    : [["Time", "number"], ["Name", ""], ["Value", ""], ["Partition : offset", "number"]];
  at("columns").replaceChildren(...names.map(([text, kind]) => element("span", kind, text)));
  document.querySelector(".records").classList.toggle("list", view === "list");
  document.querySelector(".records").classList.toggle("groups", view === "groups");
}

function footShow() {
  const refused = latest.refused > 0 ? `; ${number.format(latest.refused)} records of further names are not shown: narrow the filter` : "";
  if (view === "groups") {
    const lag = groups.reduce((sum, group) => sum + group.lag, 0);
    write(at("foot"), `${number.format(groups.length)} groups, ${number.format(lag)} records not settled`);
  } else if (trouble !== null) {
    write(at("foot"), "");
  } else if (view === "latest") {
    write(at("foot"), paused ? "Paused: values stay as they were." : `${number.format(latest.names)} names${refused}`);
  } else {
    const shown = frozen ?? list;
    write(at("foot"), frozen === null ? `the last ${number.format(shown.size)} of ${number.format(list.taken)} records`
      : `Paused; ${number.format(list.taken - frozen.taken)} more have arrived.`);
  }
}

function paint() {
  if (dirty && !(paused && view !== "list")) {
    dirty = false;
    const count = view === "groups" ? groups.length : view === "latest" ? latest.rows.length : (frozen ?? list).size;
    table.paint(count);
    at("table-none").hidden = count > 0;
    footShow();
  }
  requestAnimationFrame(paint);
}

at("table").addEventListener("scroll", () => { dirty = true; }, { passive: true });
addEventListener("resize", () => { dirty = true; });
at("table").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (row === null) {
    return;
  }
  dirty = true;
  if (view === "groups") {
    groupShow(row.group);
  } else if (event.target.classList.contains("dot")) {
    lineToggle(row.message.name);
  } else {
    detailShow(row.message);
  }
});

/* ---- The charts ------------------------------------------------------------------------------- */

function lineToggle(name) {
  if (values.has(name)) {
    values.hide(name);
  } else if (!values.show(name)) {
    write(at("foot"), "The chart has no colour left: take a line away first.");
  }
}

function memberSet(wanted) {
  if (member !== wanted) {
    member = wanted;
    latest.rows.forEach((row) => { row.samples = []; row.seen = null; });
    values.clear();
    table.reset();
    dirty = true;
  }
  at("member").value = member;
  columnsShow();
}

/* Which members of values are numbers; the first names that have one become lines. */
function membersFind() {
  const found = new Set([...at("member").options].map((option) => option.value));
  const before = found.size;
  for (const row of latest.rows.slice(0, 200)) {
    const numbers = numbersOf(row.message);
    Object.keys(numbers).forEach((one) => found.add(one));
  }
  if (found.size !== before) {
    at("member").replaceChildren(...[...found].map((one) => new Option(one === "" ? "the value itself" : one, one)));
    memberSet(memberChosen ? member
      : [...found].find((one) => !/^(ts|time|timestamp|round|seq|id|n|)$/i.test(one)) ?? [...found][0]);
  }
}

function linesChoose() {
  if (values.names.length > 0) {
    return;
  }
  for (const row of latest.rows.slice(0, 200)) {
    if (values.names.length < SHOWN_AT_FIRST && Date.now() - row.at < SHOWN_MS && numbersOf(row.message)[member] !== undefined) {
      values.show(row.name);
      dirty = true;
    }
  }
}

at("member").addEventListener("change", () => {
  memberChosen = true;
  memberSet(at("member").value);
});

setInterval(() => {
  if (paused || document.hidden) {
    return;
  }
  membersFind();
  linesChoose();
  at("values-none").hidden = values.add(Date.now(), (name) => {
    const row = latest.row(name);
    return row === undefined ? undefined : { message: row.message, at: row.at, y: numbersOf(row.message)[member] };
  });
}, VALUES_EVERY_MS);

const lastTick = { time: performance.now(), records: 0, old: 0, replaced: 0 };

setInterval(() => {
  const now = performance.now();
  const seconds = (now - lastTick.time) / 1000;
  const replaced = counts.replaced + (subscription?.replaced ?? 0);
  const records = counts.records + replaced + counts.dropped; /* all that arrived */
  const came = Math.max(0, records - lastTick.records);
  const old = counts.old - lastTick.old;
  const oldReplaced = old > 0 ? replaced - lastTick.replaced : 0; /* what comes with history is history */
  const rate = Math.max(0, came - old - oldReplaced) / seconds;
  write(at("rate"), number.format(Math.round(rate)));
  write(at("total"), number.format(records));
  write(at("names"), number.format(latest.names));
  write(at("lost"), `${number.format(replaced)} · ${number.format(counts.dropped)}`);
  Object.assign(lastTick, { time: now, records, old: counts.old, replaced });
  settled ||= came === 0 && weir?.status === "open";
  latest.tick(seconds);
  rates.add(now, Math.round(rate));
  dirty = true; /* ages move */
}, 1000);

/* ---- One record ------------------------------------------------------------------------------- */

function detailShow(message) {
  chosen = message;
  groupChosen = null;
  write(at("detail-title"), "Record");
  at("detail-more").hidden = true;
  const members = [["name", message.name], ["topic", message.topic ?? "none: a live name"],
    ["key", message.key instanceof Uint8Array ? textOf({ tombstone: false, record: { base64: message.record.key_base64 },
      bytes: () => message.key }).text : message.key],
    ["partition", message.partition], ["offset", message.offset], ["time", new Date(message.time).toISOString()],
    ["content type", message.contentType], ["reply", message.reply], ["correlation", message.correlation],
    ["traceparent", message.traceparent], ["expiry", message.expiry === null ? null : `${message.expiry} s`],
    ...message.headerList];
  at("detail-members").replaceChildren(...members.filter(([, value]) => value !== null).flatMap(([name, value]) =>
    [element("dt", "", name), element("dd", "", String(value))]));
  let text = textOf(message).text;
  try {
    text = JSON.stringify(message.json(), null, 2);
  } catch { /* no JSON: as it is */ }
  at("detail-value").textContent = text;
  write(at("detail-command"), message.live ? `weir sub ${quoted(message.name)}`
    : `weir sub ${quoted(message.name)} --from ${message.offset} -C 1 -o json`);
  at("detail").hidden = false;
}

at("detail-close").addEventListener("click", () => {
  at("detail").hidden = true;
  chosen = null;
  groupChosen = null;
  dirty = true;
});

/* ---- Groups ----------------------------------------------------------------------------------- */

function groupShow(group) {
  groupChosen = group.group;
  chosen = null;
  write(at("detail-title"), group.model === "queue" ? "Queue group" : "Stream group");
  at("detail-members").replaceChildren(...groupMembersOf(group).flatMap(([name, value]) =>
    [element("dt", "", name), element("dd", "", String(value))]));
  at("detail-value").textContent = groupTextOf(group);
  const [command, more] = groupCommandsOf(group, quoted);
  write(at("detail-command"), command);
  write(at("detail-more"), more);
  at("detail-more").hidden = false;
  at("detail").hidden = false;
}

async function groupsShow() {
  if (weir === null || weir.status !== "open" || document.hidden || view !== "groups" || paused || groupsAsked) {
    return;
  }
  groupsAsked = true;
  try {
    groups = (await weir.groups()).sort((a, b) => (a.group < b.group ? -1 : 1));
  } finally {
    groupsAsked = false;
  }
  const own = groups.find((group) => group.group === groupChosen);
  if (own !== undefined) {
    groupShow(own);
  }
  dirty = true;
}

/* ---- Topics ----------------------------------------------------------------------------------- */

function topicFill(item, topic, offsets) {
  const count = offsets?.reduce((sum, one) => sum + one.end - one.start, 0);
  const ranges = offsets?.map((one) => `${number.format(one.start)}–${number.format(one.end)}`).join("  ") ?? "";
  const [name, total, about] = item.firstChild.children;
  write(name, topic.topic);
  write(total, count === undefined ? "" : number.format(count));
  write(about, `${topic.durability} · ${topic.partitions} partition${topic.partitions === 1 ? "" : "s"} · ${ranges}`);
  item.firstChild.title = `weir topic info ${quoted(topic.topic)}\nOffsets of each partition: ${ranges}`;
  item.topic = topic.topic;
}

function topicMake() {
  const button = element("button", "", element("span", "topic"), element("span", "count"), element("span", "about"));
  button.type = "button";
  return element("li", "", button);
}

async function topicsShow() {
  if (weir === null || weir.status !== "open" || document.hidden) {
    return;
  }
  const there = await weir.ping();
  write(at("ping"), `${there < 10 ? there.toFixed(1) : Math.round(there)} ms`);
  const topics = await weir.topics();
  const offsets = await Promise.all(topics.slice(0, TOPICS_LOOKED_INTO).map((topic) =>
    weir.offsets(topic.topic).catch(() => undefined))); /* deleted this moment */
  const home = at("topics");
  while (home.children.length < topics.length) {
    home.append(topicMake());
  }
  while (home.children.length > topics.length) {
    home.lastChild.remove();
  }
  topics.forEach((topic, index) => topicFill(home.children[index], topic, offsets[index]));
  write(at("topics-count"), topics.length === 0 ? "none declared: weir topic create NAME" : `${topics.length} declared; records kept`);
  const wanted = topics.map((topic) => `${topic.topic}/#`);
  if (at("filters").children.length !== wanted.length) {
    at("filters").replaceChildren(...wanted.map((filter) => new Option(filter)));
  }
}

at("topics").addEventListener("click", (event) => {
  const item = event.target.closest("li");
  if (item !== null) {
    at("filter").value = `${item.topic}/#`;
    tail();
  }
});

/* ---- Publishing ------------------------------------------------------------------------------- */

function publishCommand() {
  const name = at("publish-name").value.trim() || "site/dev1/temp";
  const retain = at("publish-retain").checked ? " --retain" : "";
  write(at("publish-command"), `weir pub ${quoted(name)} -m ${quoted(at("publish-value").value || "21.5")}${retain}`);
}

at("publish").addEventListener("input", publishCommand);
at("publish").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = at("publish-answer");
  answer.classList.remove("bad");
  try {
    const done = await weir.publish(at("publish-name").value.trim(), at("publish-value").value,
      { retain: at("publish-retain").checked });
    answer.textContent = done.live ? "live: not kept" : `${done.level} · ${done.partition} : ${number.format(done.offset)}`;
    topicsShow().catch(() => {});
  } catch (error) {
    answer.classList.add("bad");
    answer.textContent = error.text ?? String(error);
  }
});

/* ---- Controls --------------------------------------------------------------------------------- */

function pauseSet(on) {
  paused = on;
  frozen = on && view === "list" ? list.frozen() : null;
  at("pause").setAttribute("aria-pressed", String(on));
  write(at("pause"), on ? "Go on" : "Pause");
  dirty = true;
  footShow();
}

function viewSet(wanted) {
  view = wanted;
  document.querySelector(`input[name="view"][value="${wanted}"]`).checked = true;
  pauseSet(false);
  columnsShow();
  table.reset();
  at("table-hint").innerHTML = HINTS[view];
  groupsShow().catch(() => {});
}

at("tail").addEventListener("submit", (event) => { event.preventDefault(); tail(); });
at("filter").addEventListener("input", commandShow);
at("filter").addEventListener("change", tail);
at("from").addEventListener("change", tail);
at("pause").addEventListener("click", () => pauseSet(!paused));
at("clear").addEventListener("click", clear);
for (const choice of document.querySelectorAll("input[name='view']")) {
  choice.addEventListener("change", () => { viewSet(choice.value); tail(); });
}
at("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("weir-theme", root.dataset.theme);
  rates.themeChanged();
  values.themeChanged();
});

/* ---- The connection --------------------------------------------------------------------------- */

function statusShow(status) {
  historyBegin(); /* what comes after a gap was kept meanwhile */
  at("status").dataset.status = status;
  at("status").lastChild.textContent = status;
  if (weir?.gateway) {
    write(at("gateway"), `${weir.gateway.server} at ${new URL(weir.url).host}`);
  }
}

const asked = new URLSearchParams(location.hash.slice(1));
at("filter").value = asked.get("filter") ?? "#";
if ([...at("from").options].some((option) => option.value === asked.get("from"))) {
  at("from").value = asked.get("from");
}
viewSet(["list", "groups"].find((one) => one === asked.get("view")) ?? "latest");
commandShow();
publishCommand();
requestAnimationFrame(paint);

weir = await connect(undefined, { clientId: "console", connectMs: 0 });
globalThis.weir = weir;
globalThis.connect = connect;
weir.on("status", statusShow);
statusShow(weir.status);
tail();
topicsShow().catch(() => {});
groupsShow().catch(() => {});
setInterval(() => groupsShow().catch(() => {}), GROUPS_EVERY_MS);
setInterval(() => topicsShow().catch(() => {}), TOPICS_EVERY_MS); /* a lost connection: asked again next time */
