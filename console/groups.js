/* console/groups.js - groups and queues: one row each, and what is told of the one that was chosen.
 *
 *     every two seconds, while they are looked at: weir.groups() -> rows, by name
 *
 * Reading only: what changes a group is a command, and the page shows it to be copied. */
import { element, write } from "./table.js";

const number = new Intl.NumberFormat("en");

/** Column heads, as [text, class]. */
export const GROUP_COLUMNS = [["Group", ""], ["Kind", ""], ["Members", "number"], ["Lag", "number"], ["Oldest", "number"],
  ["Leased", "number"], ["Failed", "number"], ["What became of its records", ""], ["Dead · dropped", "number"]];

/* Fates, in the order of the bar, and the colour of each. */
const BAR = [["accepted", "--good"], ["pending", "--warn"], ["dead-lettered", "--bad"], ["dropped", "--bad"],
  ["rejected", "--bad"], ["expired", "--faint"], ["superseded", "--faint"], ["skipped", "--faint"], ["topic-deleted", "--faint"]];

const sumOf = (group, member) => group.partitions.reduce((sum, part) => sum + (part[member] ?? 0), 0);

function age(milliseconds) {
  const seconds = milliseconds / 1000;
  return milliseconds <= 0 ? "" : seconds < 90 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
    : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** Members of a stream that own nothing. */
function idleOf(group) {
  return group.model === "stream" ? group.members.filter((member) => member.partitions === 0).length : 0;
}

const isQueueTopic = (group) => group.model === "queue" && group.topics?.length === 1 && group.topics[0] === group.group;

function barOf({ fates }) {
  const all = Object.values(fates).reduce((sum, count) => sum + count, 0);
  let from = 0;
  const parts = BAR.filter(([fate]) => fates[fate] > 0).map(([fate, colour]) => {
    const to = from + 100 * fates[fate] / all;
    const part = `var(${colour}) ${from}% ${to}%`;
    from = to;
    return part;
  });
  return parts.length === 0 ? "" : `linear-gradient(90deg, ${parts.join(", ")})`;
}

export function groupRowMake() {
  const cells = [element("span", "name"), element("span", "kind"), element("span", "number"), element("span", "number drawn"),
    element("span", "number"), element("span", "number"), element("span", "number"), element("span", "fates"),
    element("span", "number")];
  const row = element("div", "row", ...cells);
  row.cells = cells;
  return row;
}

export function groupRowFill(row, group, chosen) {
  const [name, kind, members, lag, oldest, leased, failed, bar, dead] = row.cells;
  const idle = idleOf(group);
  const { fates } = group;
  row.group = group;
  row.classList.toggle("chosen", chosen === group.group);
  write(name, group.group);
  write(kind, `${group.model} · ${group.mode}${group.stands_still ? " · stands still" : ""}`);
  kind.classList.toggle("bad", group.stands_still === true);
  write(members, `${group.members.length}${idle > 0 ? ` (${idle} idle)` : ""}`);
  write(lag, number.format(group.lag));
  write(oldest, age(group.lag_ms));
  write(leased, group.model === "queue" ? number.format(sumOf(group, "leased")) : "");
  write(failed, group.model === "queue" ? number.format(group.failed_times) : "");
  write(dead, `${number.format(fates["dead-lettered"])} · ${number.format(fates.dropped)}`);
  dead.classList.toggle("bad", fates["dead-lettered"] + fates.dropped > 0);
  const picture = barOf(group);
  if (bar.picture !== picture) {
    bar.picture = picture;
    bar.style.setProperty("--fates", picture || "none");
  }
  const told = BAR.map(([fate]) => [fate, fates[fate]]).filter(([, count]) => count > 0)
    .map(([fate, count]) => `${number.format(count)} ${fate}`).join(", ");
  if (bar.title !== told) {
    bar.title = told;
  }
}

/* ---- The chosen one --------------------------------------------------------------------------- */

const SHOWN = [["mode", "mode"], ["start", "start"], ["removed", "when its place is removed"], ["dead_letter", "dead letters go to"], ["lease_ms", "lease", "ms"],
  ["delivery_limit", "delivery limit"], ["retry_delay_ms", "retry after", "ms"], ["session_ms", "session", "ms"],
  ["generation", "generation"], ["rebalances", "rebalances"], ["leased_times", "times leased"],
  ["failed_times", "times failed"], ["late_refused", "late answers refused"]];

/** [name, value] pairs for the detail card. */
export function groupMembersOf(group) {
  const told = [["group", group.group], ["model", group.model], ["reads", group.topics?.join(", ") ?? group.filter]];
  for (const [member, name, unit] of SHOWN) {
    const of = group.model === "stream" ? ["lease_ms", "delivery_limit", "retry_delay_ms", "leased_times", "failed_times"]
      : ["generation", "rebalances"];
    if (group[member] !== undefined && !of.includes(member)) {
      told.push([name, `${typeof group[member] === "number" ? number.format(group[member]) : group[member]}${unit ? ` ${unit}` : ""}`]);
    }
  }
  const fates = Object.entries(group.fates).filter(([, count]) => count > 0);
  return [...told, ...fates.map(([fate, count]) => [fate, number.format(count)])];
}

/* Lines of columns that are as wide as their widest cell. */
function lines(rows) {
  const widths = rows[0].map((unused, at) => Math.max(...rows.map((row) => String(row[at]).length)));
  return rows.map((row) => row.map((cell, at) => (at === 0 ? String(cell).padEnd(widths[at]) : String(cell).padStart(widths[at])))
    .join("  ").trimEnd()).join("\n");
}

/** Members and partitions, as text. */
export function groupTextOf(group) {
  const queue = group.model === "queue";
  const members = group.members.length === 0 ? "no members"
    : lines([["member", "by", queue ? "leased" : "owns", "silent"], ...group.members.map((member) => [member.member,
      member.origin ?? "", queue ? member.leased : member.partitions || "idle", `${(member.silent_ms / 1000).toFixed(1)} s`])]);
  const partitions = group.partitions.length === 0 ? "no partitions yet"
    : lines([["partition", "place", "end", "lag", queue ? "leased" : "owner"], ...group.partitions.map((part) =>
      [`${part.topic} ${part.partition}`, part.committed, part.end, part.lag,
        queue ? part.leased : group.members[part.owner]?.member ?? "none"])]);
  return `${members}\n\n${partitions}`;
}

/** The commands that go on from here; the second may be null. */
export function groupCommandsOf(group, quoted) {
  const noun = isQueueTopic(group) ? "queue" : "group";
  const info = `weir ${noun} info ${quoted(group.group)}`;
  const dead = group.fates["dead-lettered"] > 0 ? `weir ${noun} dead ls ${quoted(group.group)}` : null;
  const still = group.stands_still ? `weir group reset ${quoted(group.group)} --to beginning` : null;
  return [info, still ?? dead ?? `weir group join ${quoted(group.group)}`];
}
