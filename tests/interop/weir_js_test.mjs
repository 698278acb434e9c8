/* tests/interop/weir_js_test.mjs - clients/javascript/weir.js in Node, against a gateway. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import net from "node:net";
import { after, before, test } from "node:test";
import { DEADLINE_MS, Gateway, until, within } from "./gateway.mjs";

const { default: WebSocket } = await import("ws").catch(() => {
  console.log("SKIPPED: the package ws is not here; `npm ci` in tests/interop brings it");
  process.exit(77);
});
const { connect, WeirError } = await import("../../clients/javascript/weir.js");

const QUICK = { minMs: 5, maxMs: 40 };
let gateway = null;
before(async () => { gateway = await Gateway.start(); });
after(() => gateway?.gone());

/* A WebSocket that a test can cut, and keep from coming back; it counts the records that came. */
function cuttable() {
  return class Cuttable extends WebSocket {
    static held = false;
    static open = new Set();
    static records = 0;

    constructor(url, protocols) {
      super(Cuttable.held ? "ws://127.0.0.1:9/" : url, protocols);
      Cuttable.open.add(this);
      this.on("close", () => Cuttable.open.delete(this));
      this.on("message", (data) => {
        const message = JSON.parse(data);
        Cuttable.records += message.type === "records" ? message.records.length : 0;
      });
    }

    static cut(held = false) {
      Cuttable.held = held;
      Cuttable.open.forEach((socket) => socket.terminate());
    }
  };
}

async function connected(t, options = {}) {
  const w = await within("a connection", connect(gateway.url, { WebSocket, backoff: QUICK, ...options }));
  t.after(() => w.close());
  return w;
}

let topics = 0;
async function topicMake(w, options) {
  const topic = `plant${++topics}`;
  await w.createTopic(topic, options);
  return topic;
}

/* The next `count` messages. */
async function taken(subscription, count) {
  const list = [];
  while (list.length < count) {
    const { value, done } = await within(`message ${list.length + 1} of ${count}`, subscription.next());
    assert.equal(done, false, `the subscription ended after ${list.length} of ${count}`);
    list.push(value);
  }
  return list;
}

const texts = (messages) => messages.map((message) => message.text());
const place = ({ topic, partition, offset }) => `${topic}/${partition}/${offset}`;

/* Waits until the gateway's own clock gives later times. */
async function clockPasses(w, time) {
  const topic = await topicMake(w);
  await until("a later time", async () => (await w.publish(topic, "tick")).time > time);
}

function refused(code, field) {
  return (error) => {
    assert.ok(error instanceof WeirError, String(error));
    assert.equal(error.code, code);
    if (field !== undefined) {
      assert.equal(error.field, field);
    }
    assert.ok(error.text.length > 10);
    return true;
  };
}

/* ---- Publishing and reading ---- */

test("a record comes back with all that it was given", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  const subscription = w.subscribe(`${topic}/#`);
  await subscription.ready;
  const answer = await w.publish(`${topic}/dev1/temp`, "21.5 °C", {
    headers: [["x", "1"], ["x", "2"], ["raw", new Uint8Array([0, 255])], ["none", null]],
    contentType: "text/plain", reply: "answers/here", correlation: "c-1", expiry: 60,
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  });
  const { time, ...where } = answer;
  assert.deepEqual(where, { partition: 0, offset: 0, level: "disk", live: false, duplicate: false });
  const [m] = await taken(subscription, 1);
  assert.equal(m.topic, topic);
  assert.equal(m.name, `${topic}/dev1/temp`);
  assert.equal(m.key, "dev1/temp");
  assert.deepEqual([m.partition, m.offset, m.time], [0, 0, time]);
  assert.deepEqual([m.live, m.retained, m.tombstone], [false, false, false]);
  assert.equal(m.text(), "21.5 °C");
  assert.deepEqual(m.headerList,
    [["x", "1"], ["x", "2"], ["raw", new Uint8Array([0, 255])], ["none", null]]);
  assert.equal(m.headers.x, "1");
  assert.deepEqual([m.contentType, m.reply, m.correlation, m.expiry],
    ["text/plain", "answers/here", "c-1", 60]);
  assert.equal(m.traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
});

test("text, bytes, JSON and tombstones stay what they are", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  const bytes = Uint8Array.from({ length: 70000 }, (unused, index) => index % 256);
  await w.publish(topic, bytes, { key: new Uint8Array([255, 0]) });
  await w.publish(topic, bytes.buffer.slice(1, 3), { key: null });
  await w.publish(topic, { celsius: 19.25 }, { key: "json" });
  await w.publish(topic, 7, { key: "number" });
  await w.publish(topic, null, { key: "gone" });
  const [binary, short, json, number, gone] = await taken(w.subscribe(`${topic}/#`, { from: "beginning" }), 5);
  assert.deepEqual(binary.bytes(), bytes);
  assert.deepEqual(binary.key, new Uint8Array([255, 0]));
  assert.deepEqual(short.bytes(), new Uint8Array([1, 2]));
  assert.deepEqual([short.key, short.name], [null, topic]);
  assert.deepEqual(json.json(), { celsius: 19.25 });
  assert.equal(number.json(), 7);
  assert.deepEqual([gone.tombstone, gone.text(), gone.bytes(), gone.json()], [true, null, null, null]);
  assert.deepEqual(json.bytes(), new TextEncoder().encode('{"celsius":19.25}'));
});

test("a name under no topic reaches who is subscribed, and says that it is live", async (t) => {
  const w = await connected(t);
  const subscription = w.subscribe("nobody/declared/+");
  await subscription.ready;
  const answer = await w.publish("nobody/declared/this", "now");
  assert.deepEqual([answer.live, answer.offset, answer.partition], [true, null, null]);
  const [m] = await taken(subscription, 1);
  assert.deepEqual([m.live, m.topic, m.name, m.offset, m.text()], [true, null, "nobody/declared/this", null, "now"]);
});

test("a filter that means stored and live names gets each once", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  const subscription = w.subscribe("+/both");
  await subscription.ready;
  await w.publish(`${topic}/both`, "stored");
  await w.publish("live/both", "live");
  await w.publish(`${topic}/both`, "last");
  assert.deepEqual(texts(await taken(subscription, 3)).sort(), ["last", "live", "stored"]);
  await subscription.close();
  assert.equal((await subscription.next()).done, true);
});

test("every way to say where to begin begins there", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  const all = ["0", "1", "2", "3", "4"];
  const times = [];
  for (const value of all) {
    const { time } = await w.publish(topic, value);
    times.push(time);
    await clockPasses(w, time);
  }
  const ways = [
    ["beginning", all],
    ["last:2", ["3", "4"]],
    ["last:99", all],
    [3, ["3", "4"]],
    [99, []],
    [[{ topic, partition: 0, offset: 1 }], ["1", "2", "3", "4"]],
    [[{ topic: "another", partition: 0, offset: 1 }], []],
    [{ time: times[2] }, ["2", "3", "4"]],
    [new Date(times[3]), ["3", "4"]],
    [{ time: new Date(times[4]).toISOString() }, ["4"]],
    [{ time: times[4] + 3600000 }, []],
  ];
  const subscriptions = ways.map(([from]) => w.subscribe(`${topic}/#`, { from }));
  const end = w.subscribe(`${topic}/#`);
  await Promise.all([...subscriptions, end].map((subscription) => subscription.ready));
  await w.publish(topic, "new");
  for (const [index, [from, expected]] of ways.entries()) {
    const got = [];
    while (got.at(-1) !== "new") {
      got.push(...texts(await taken(subscriptions[index], 1)));
    }
    assert.deepEqual(got, [...expected, "new"], JSON.stringify(from));
  }
  assert.deepEqual(texts(await taken(end, 1)), ["new"]);
});

test("positions go on behind what was taken, through a cut too", async (t) => {
  const Cut = cuttable();
  const w = await connected(t, { WebSocket: Cut });
  const topic = await topicMake(w, { partitions: 2 });
  const records = Array.from({ length: 100 }, (unused, n) => ({ key: `k${n}`, data: String(n) }));
  await w.publishMany(topic, records);
  const first = w.subscribe(`${topic}/#`, { from: "beginning", credit: 30 });
  const one = await taken(first, 20);
  Cut.cut();
  one.push(...await taken(first, 21));
  const { positions } = first;
  await first.close();
  assert.equal(positions.reduce((sum, { offset }) => sum + offset, 0), 41);
  const two = await taken(w.subscribe(`${topic}/#`, { from: positions }), 59);
  assert.equal(new Set([...one, ...two].map(place)).size, 100);
});

test("untilEnd ends the loop behind what was there", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w, { partitions: 3 });
  await w.publishMany(topic, Array.from({ length: 500 }, (unused, n) => ({ key: `k${n}`, data: String(n) })));
  let count = 0;
  for await (const m of w.subscribe(`${topic}/#`, { from: "beginning", untilEnd: true, credit: 7 })) {
    count += m.topic === topic;
  }
  assert.equal(count, 500);
  for await (const m of w.subscribe("no/such/#", { from: "beginning", untilEnd: true })) {
    assert.fail(m.name);
  }
});

test("retained values come first, marked", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  await w.publish(`${topic}/state`, "on", { retain: true });
  await w.publish("lamp/state", "off", { retain: true });
  const subscription = w.subscribe("+/state", { retained: true });
  const got = await taken(subscription, 2);
  assert.deepEqual(got.map((m) => [m.retained, m.text()]).sort(), [[true, "off"], [true, "on"]]);
  await subscription.ready;
  await w.publish(`${topic}/state`, "new");
  assert.deepEqual((await taken(subscription, 1)).map((m) => [m.retained, m.text()]), [[false, "new"]]);
  await w.publish("lamp/state", null, { retain: true });
});

test("many at once: the wrong ones fail, the others are stored", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  const [one, two, three] = await w.publishMany(topic, [
    { key: "a", data: "1" }, { name: "a/+/b", data: "2" }, { name: `${topic}/c`, data: new Uint8Array([255]) }]);
  assert.deepEqual([one.offset, three.offset], [0, 1]);
  assert.ok(refused("name-invalid")(two));
});

test("confirm none resolves at once, and only a failure is told", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  const errors = [];
  w.on("error", (error) => errors.push(error));
  assert.equal(await w.publish(`${topic}/a`, "1", { confirm: "none" }), null);
  assert.equal(await w.publish("a/+/b", "2", { confirm: "none" }), null);
  await until("the failure", () => errors.length === 1);
  assert.ok(refused("name-invalid")(errors[0]));
  assert.deepEqual(texts(await taken(w.subscribe(`${topic}/#`, { from: "beginning" }), 1)), ["1"]);
});

test("fetch gives one partition from an offset, and waits for more", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  await w.publishMany(topic, [{ data: "a" }, { data: "b" }, { data: "c" }]);
  const some = await w.fetch(topic, 0, 1);
  assert.deepEqual([some.start, some.end, some.next, texts(some.records)], [0, 3, 3, ["b", "c"]]);
  const waiting = w.fetch(topic, 0, 3, { waitMs: 10000 });
  await w.publish(topic, "d");
  assert.deepEqual(texts((await within("the fetch", waiting)).records), ["d"]);
  assert.equal((await w.fetch(topic, 0, 0, { maxBytes: 1 })).records[0].text(), "a");
  await assert.rejects(w.fetch(topic, 0, 99), refused("offset-out-of-range"));
});

test("topics are declared, changed, listed, looked into and deleted", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w, { partitions: 2, durability: "os" });
  assert.equal((await w.createTopic(topic, { partitions: 2, durability: "os" })).partitions, 2);
  await assert.rejects(w.createTopic(topic, { partitions: 3 }), refused("exists"));
  assert.equal((await w.alterTopic(topic, { durability: "memory" })).durability, "memory");
  assert.ok((await w.topics()).some((one) => one.topic === topic && one.durability === "memory"));
  const { partition, offset, time } = await w.publish(topic, "x", { key: "k" });
  const offsets = await w.offsets(topic, { time: new Date(time) });
  assert.deepEqual(offsets[partition], { partition, start: 0, end: 1, found: offset });
  await w.deleteTopic(topic);
  await assert.rejects(w.offsets(topic), refused("not-found"));
  assert.equal(await w.query("health"), "ok");
  assert.ok(await w.ping() < DEADLINE_MS);
});

/* ---- Errors ---- */

test("errors carry a code, the field and what to do", async (t) => {
  const w = await connected(t);
  await assert.rejects(w.publish("a/+/b", "x"), refused("name-invalid"));
  await assert.rejects(w.publish("no-such-topic", "x", { key: "k" }), refused("not-found"));
  await assert.rejects(w.publish("a/b", undefined), refused("invalid", "data"));
  await assert.rejects(w.publish(7, "x"), refused("invalid", "name"));
  await assert.rejects(w.publish("a/b", "x", { headers: { "weir-x": "1" } }), refused("invalid", "headers"));
  await assert.rejects(w.publish("a/b", new Uint8Array(1048577)), refused("too-large"));
});

test("a message that the gateway could not take is not sent, and the connection stays", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  let lost = false;
  w.on("status", () => { lost = true; });
  await assert.rejects(w.publish(`${topic}/a`, "x".repeat(1200000)), refused("too-large"));
  await assert.rejects(w.publish(`${topic}/a`, "\u00e9".repeat(600000)), refused("too-large"));
  const longest = "x".repeat(1048576 - 100);
  await w.publish(`${topic}/a`, longest);
  assert.deepEqual(texts(await taken(w.subscribe(`${topic}/#`, { from: "beginning" }), 1)), [longest]);
  assert.equal(lost, false);
});

test("what a subscription cannot mean is refused before or by the gateway", async (t) => {
  const w = await connected(t);
  assert.throws(() => w.subscribe("a", { from: "yesterday" }), refused("invalid", "from"));
  assert.throws(() => w.subscribe("a", { from: { time: "yesterday" } }), refused("invalid", "from"));
  assert.throws(() => w.subscribe("a", { credit: 0 }), refused("invalid", "credit"));
  assert.throws(() => w.subscribe("a", { onSlow: "panic" }), refused("invalid", "onSlow"));
  assert.throws(() => w.subscribe(""), refused("invalid", "filter"));
  assert.throws(() => w.subscribe("a", { untilEnd: true }), refused("invalid", "untilEnd"));
  const wrong = w.subscribe("a/#/b");
  await assert.rejects(wrong.ready, refused("name-invalid"));
  await assert.rejects(wrong.next(), refused("name-invalid"));
  assert.equal((await wrong.next()).done, true);
});

test("nobody there, and no WebSocket here, are said", async () => {
  const began = Date.now();
  await assert.rejects(connect("ws://127.0.0.1:9/", { WebSocket, connectMs: 100, backoff: QUICK }), refused("timeout"));
  assert.ok(Date.now() - began < DEADLINE_MS);
  const abort = new AbortController();
  const trying = connect("ws://127.0.0.1:9/", { WebSocket, signal: abort.signal });
  abort.abort();
  await assert.rejects(trying, refused("aborted"));
  await assert.rejects(connect(undefined, { WebSocket }), refused("invalid", "url"));
  await assert.rejects(connect("mailto:weir", { WebSocket }), refused("invalid", "url"));
  if (globalThis.WebSocket === undefined) {
    await assert.rejects(connect(gateway.url), refused("invalid", "WebSocket"));
  }
});

/* ---- Slowness ---- */

test("a slow reader has no more than its credit on the way; the rest waits in the log", async (t) => {
  const Counted = cuttable();
  const w = await connected(t, { WebSocket: Counted });
  const topic = await topicMake(w);
  const subscription = w.subscribe(`${topic}/#`, { credit: 10 });
  await subscription.ready;
  await w.publishMany(topic, Array.from({ length: 1000 }, (unused, n) => ({ key: "k", data: String(n) })));
  await until("ten records", () => Counted.records === 10);
  await w.ping();
  await w.ping();
  assert.equal(Counted.records, 10);
  const got = await taken(subscription, 1000);
  assert.deepEqual(texts(got), Array.from({ length: 1000 }, (unused, n) => String(n)));
  assert.equal(subscription.dropped, 0);
});

test("drop-oldest keeps the newest and counts the others", async (t) => {
  const Counted = cuttable();
  const w = await connected(t, { WebSocket: Counted });
  const topic = await topicMake(w);
  const subscription = w.subscribe(`${topic}/#`, { credit: 5, onSlow: "drop-oldest" });
  let told = 0;
  subscription.on("dropped", ({ count }) => { told += count; });
  await subscription.ready;
  for (let part = 0; part < 10; part++) {
    await w.publishMany(topic, Array.from({ length: 1000 }, (unused, n) => ({ data: String(part * 1000 + n) })));
  }
  await until("all records", () => Counted.records === 10000);
  assert.deepEqual(texts(await taken(subscription, 5)), ["9995", "9996", "9997", "9998", "9999"]);
  assert.deepEqual([subscription.dropped, told], [9995, 9995]);
});

test("last-value gives the newest of each name", async (t) => {
  const Counted = cuttable();
  const w = await connected(t, { WebSocket: Counted });
  const topic = await topicMake(w);
  const subscription = w.subscribe(`${topic}/#`, { onSlow: "last-value" });
  await subscription.ready;
  for (let part = 0; part < 10; part++) {
    await w.publishMany(topic, Array.from({ length: 1000 }, (unused, n) =>
      ({ key: `k${n % 3}`, data: String(part * 1000 + n) })));
  }
  await until("all records", () => Counted.records === 10000);
  assert.deepEqual(texts(await taken(subscription, 3)), ["9999", "9997", "9998"]);
  assert.equal(subscription.replaced, 9997);
});

/* ---- Lost connections ---- */

test("a cut loses and repeats nothing, in partitions never seen and topics declared meanwhile too", async (t) => {
  const Cut = cuttable();
  const w = await connected(t, { WebSocket: Cut });
  const other = await connected(t);
  const topic = await topicMake(other, { partitions: 4 });
  const late = `${topic}-late`;
  const subscription = w.subscribe("+/way/#");
  const gaps = [];
  const statuses = [];
  subscription.on("gap", (gap) => gaps.push(gap));
  w.on("status", (status) => statuses.push(status));
  await subscription.ready;
  await other.publish(`${topic}/way/seen`, "before");
  assert.deepEqual(texts(await taken(subscription, 1)), ["before"]);
  Cut.cut(true);
  await until("the loss", () => w.status === "resuming");
  const expected = new Set();
  for (let n = 0; n < 50; n++) {
    const answer = await other.publish(`${topic}/way/${n}`, "away");
    expected.add(place({ topic, ...answer }));
  }
  await other.createTopic(late);
  expected.add(place({ topic: late, ...await other.publish(`${late}/way/a`, "declared away") }));
  Cut.held = false;
  const got = await taken(subscription, 51);
  assert.deepEqual(new Set(got.map(place)), expected);
  await until("the gap of live names", () => gaps.length === 1);
  assert.deepEqual(gaps, [{ filter: "+/way/#", live: true }]);
  assert.deepEqual(statuses, ["resuming", "open"]);
  await other.publish("live/way/x", "after");
  assert.deepEqual(texts(await taken(subscription, 1)), ["after"]);
});

test("many cuts under load: each record of a topic comes once, in its partition's order", async (t) => {
  const Cut = cuttable();
  const w = await connected(t, { WebSocket: Cut });
  const other = await connected(t);
  const topic = await topicMake(other, { partitions: 3 });
  const subscription = w.subscribe(`${topic}/#`, { credit: 50 });
  await subscription.ready;
  const COUNT = 4000;
  const publishing = (async () => {
    for (let n = 0; n < COUNT; n += 50) {
      await other.publishMany(topic, Array.from({ length: 50 }, (unused, i) => ({ key: `k${n + i}`, data: "x" })));
      if (n % 400 === 0) {
        Cut.cut();
      }
    }
  })();
  const next = [0, 0, 0];
  for (const m of await taken(subscription, COUNT)) {
    assert.equal(m.offset, next[m.partition]++);
  }
  await publishing;
});

test("a gateway killed and started again: what was acknowledged comes once, the unanswered is unknown", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w, { partitions: 2 });
  const subscription = w.subscribe(`${topic}/#`);
  await subscription.ready;
  const acknowledged = new Set();
  const codes = new Set();
  let going = true;
  const publisher = async (name) => {
    for (let n = 0; going; n++) {
      await w.publish(`${topic}/${name}`, String(n)).then(
        (answer) => acknowledged.add(place({ topic, ...answer })), (error) => codes.add(error.code));
    }
  };
  const publishers = ["a", "b", "c", "d"].map(publisher);
  const seen = new Set();
  const next = [0, 0];
  const reading = (async () => {
    for await (const m of subscription) {
      assert.equal(m.offset, next[m.partition]++, "each offset once, in order");
      seen.add(place(m));
    }
  })();
  for (let round = 1; round <= 3; round++) {
    const enough = acknowledged.size + 100;
    await until("a hundred more acknowledged", () => acknowledged.size >= enough);
    await gateway.kill();
    await gateway.start();
    await until("the connection again", () => w.status === "open");
  }
  const enough = acknowledged.size + 20;
  await until("twenty more", () => acknowledged.size >= enough);
  going = false;
  await within("the publishers", Promise.all(publishers));
  await until("all acknowledged records", () => [...acknowledged].every((one) => seen.has(one)));
  await subscription.close();
  await within("the reader's end", reading);
  assert.deepEqual([...codes].filter((code) => code !== "unknown"), []);
  console.log(`# ${acknowledged.size} acknowledged, ${seen.size} seen, 3 kills`);
});

test("a topic that was deleted and declared again meanwhile is read from what is new, and told", async (t) => {
  const Cut = cuttable();
  const w = await connected(t, { WebSocket: Cut });
  const other = await connected(t);
  const topic = await topicMake(other);
  const subscription = w.subscribe(`${topic}/#`);
  const gaps = [];
  subscription.on("gap", (gap) => gaps.push(gap));
  await subscription.ready;
  const { time } = (await other.publishMany(topic, [{ data: "1" }, { data: "2" }, { data: "3" }])).pop();
  await taken(subscription, 3);
  Cut.cut(true);
  await clockPasses(other, time);
  await other.deleteTopic(topic);
  await other.createTopic(topic);
  await other.publish(topic, "anew");
  Cut.held = false;
  assert.deepEqual(texts(await taken(subscription, 1)), ["anew"]);
  assert.deepEqual(gaps, [{ filter: `${topic}/#`, live: false, topic, partition: 0, from: 3, to: 0 }]);
});

test("without a connection publishes wait in a bounded queue, or fail at once if so wished", async (t) => {
  const Cut = cuttable();
  const w = await connected(t, { WebSocket: Cut, queueMax: 3 });
  const hasty = await connected(t, { WebSocket: Cut, queueMax: 0 });
  const topic = await topicMake(w);
  Cut.cut(true);
  await until("the losses", () => w.status === "resuming" && hasty.status === "resuming");
  const waiting = [1, 2, 3].map((n) => w.publish(topic, String(n)));
  await assert.rejects(w.publish(topic, "4"), refused("limit"));
  await assert.rejects(hasty.publish(topic, "5"), refused("disconnected"));
  Cut.held = false;
  const offsets = (await within("the queue", Promise.all(waiting))).map((answer) => answer.offset);
  assert.deepEqual(offsets, [0, 1, 2]);
});

test("questions are asked again after a loss, publishes are not", async (t) => {
  const Cut = cuttable();
  const w = await connected(t, { WebSocket: Cut });
  const topic = await topicMake(w);
  const fetching = w.fetch(topic, 0, 0, { waitMs: 20000 });
  const publishing = w.publish(`${topic}/x`, "1");
  Cut.cut();
  await assert.rejects(publishing, refused("unknown"));
  await w.publish(`${topic}/x`, "2");
  const { records } = await within("the fetch", fetching);
  assert.ok(records.length > 0);
});

test("a gateway that stops says so, and its clients come back when it does", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w);
  const subscription = w.subscribe(`${topic}/#`);
  await subscription.ready;
  let drained = false;
  w.on("drain", () => { drained = true; });
  await gateway.stop();
  assert.ok(drained);
  const publishing = w.publish(topic, "kept for later"); /* waits in the queue */
  await gateway.start();
  assert.equal((await within("the publish", publishing)).offset, 0);
  assert.deepEqual(texts(await taken(subscription, 1)), ["kept for later"]);
});

test("a connection that died without a word is noticed and replaced", async (t) => {
  const pairs = [];
  let dead = false;
  const proxy = net.createServer((near) => {
    const far = net.connect(gateway.port, "127.0.0.1");
    pairs.push(near, far);
    near.on("data", (data) => dead || far.write(data)).on("error", () => {});
    far.on("data", (data) => near.destroyed || near.write(data)).on("error", () => {});
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.after(() => { pairs.forEach((socket) => socket.destroy()); proxy.close(); });
  const w = await connect(`ws://127.0.0.1:${proxy.address().port}/`, { WebSocket, pingMs: 50, backoff: QUICK });
  t.after(() => w.close());
  const statuses = [];
  w.on("status", (status) => { statuses.push(status); dead = false; });
  dead = true;
  await until("the way back", () => statuses.join() === "resuming,open");
  assert.equal(await w.query("health"), "ok");
});

/* ---- Endings ---- */

test("close answers what was asked, ends the loops, and then refuses", async () => {
  const w = await connect(gateway.url, { WebSocket });
  const topic = await topicMake(w);
  const subscription = w.subscribe(`${topic}/#`);
  await subscription.ready;
  const publishing = Array.from({ length: 50 }, (unused, n) => w.publish(topic, String(n)));
  await within("close", w.close());
  assert.equal((await Promise.all(publishing)).length, 50);
  assert.equal(w.status, "closed");
  for await (const m of subscription) {
    assert.equal(m.topic, topic); /* what came before the end can still be taken */
  }
  await assert.rejects(w.publish(topic, "x"), refused("closed"));
  await assert.rejects(w.subscribe("a").next(), refused("closed"));
  await w.close();
});

test("an aborted signal ends the connection, or one subscription", async (t) => {
  const w = await connected(t);
  const one = new AbortController();
  const subscription = w.subscribe("a/#", { signal: one.signal });
  await subscription.ready;
  const waiting = subscription.next();
  one.abort();
  assert.equal((await within("the end", waiting)).done, true);
  const all = new AbortController();
  const other = await connect(gateway.url, { WebSocket, signal: all.signal });
  const loop = other.subscribe("a/#").next();
  all.abort();
  await assert.rejects(within("the end", loop), refused("aborted"));
  assert.equal(other.status, "closed");
});

test("the gateway serves this very module", async () => {
  const served = await (await fetch(new URL("weir.js", gateway.page))).text();
  assert.equal(served, await readFile(new URL("../../clients/javascript/weir.js", import.meta.url), "utf8"));
});

/* ---- Groups ---- */

/* A queue group over a topic of its own, with what was published to it. */
async function queueMake(w, options, ...values) {
  const topic = await topicMake(w);
  const group = `g-${topic}`;
  await w.createGroup(group, { model: "queue", topic, ...options });
  for (const value of values) {
    await w.publish(topic, value, { key: null });
  }
  return { topic, group };
}

const fatesOf = async (w, group) => Object.fromEntries(
  Object.entries((await w.groupInfo(group)).fates).filter(([, count]) => count > 0));

test("a member settles each record once, and the group counts what became of it", async (t) => {
  const w = await connected(t);
  const { group } = await queueMake(w, {}, "a", "b", "c");
  const member = w.group(group, { member: "ann" });
  const [a, b, c] = await taken(member, 3);
  assert.deepEqual([a.text(), a.leased, a.failed, member.model], ["a", 1, 0, "queue"]);
  const { id, ...answer } = await a.accept();
  assert.deepEqual(answer, { settled: 1, refused: 0, level: "disk" });
  await b.release({ failed: true, reason: "not\nnow" }); /* told as one line */
  await c.reject("never");
  await assert.rejects(a.accept(), refused("lease-lost"));
  const [again] = await taken(member, 1);
  assert.deepEqual([again.text(), again.leased, again.failed], ["b", 2, 1]);
  await again.accept();
  assert.deepEqual(await fatesOf(w, group), { accepted: 2, rejected: 1 });
  assert.equal((await w.groupInfo(group)).members[0].member, "ann");
  await member.close();
  assert.deepEqual((await w.groupInfo(group)).members, []);
});

test("accept holds in either mode, by the one in which each record was handed out", async (t) => {
  const w = await connected(t);
  for (const model of ["queue", "stream"]) {
    for (const modes of [["at-most-once", "at-least-once"], ["at-least-once", "at-most-once"]]) {
      const topic = await topicMake(w);
      const group = `modes-${topic}`;
      await w.createGroup(group, { model, topic, mode: modes[0] });
      const member = w.group(group, { credit: 2 });
      await member.ready;
      for (let i = 0; i < 6; i++) { /* more than its credit of each mode */
        if (i === 3) {
          await w.alterGroup(group, { mode: modes[1] });
        }
        await w.publish(topic, String(i), { key: null });
        const [message] = await taken(member, 1);
        assert.deepEqual([message.text(), message.mode], [String(i), modes[i < 3 ? 0 : 1]]);
        await message.accept();
      }
      assert.deepEqual(await fatesOf(w, group), { accepted: 6 });
      await member.close();
    }
  }
});

test("what came at most once is not rejected", async (t) => {
  const w = await connected(t);
  const { group } = await queueMake(w, { mode: "at-most-once" }, "a");
  const [message] = await taken(w.group(group), 1);
  await assert.rejects(message.reject("never"), refused("not-offered"));
  await assert.rejects(message.release({ failed: true }), refused("not-offered"));
  assert.deepEqual(await fatesOf(w, group), { accepted: 1 });
});

test("a record that is held keeps its lease, and goes to another when its member leaves", async (t) => {
  const w = await connected(t);
  const { group } = await queueMake(w, { leaseMs: 300 }, "slow");
  const slow = w.group(group);
  const [held] = await taken(slow, 1);
  const careless = w.group(group, { renew: false });
  await careless.ready;
  await new Promise((resolve) => setTimeout(resolve, 1500)); /* five leases */
  assert.deepEqual(await fatesOf(w, group), { pending: 1 });
  assert.equal(held.leased, 1);
  await slow.close();
  const [next] = await taken(careless, 1);
  assert.deepEqual([next.leased, next.failed], [2, 0]);
  await next.accept();
});

test("a member whose connection is cut joins again, and nothing is accepted twice", async (t) => {
  const Cuttable = cuttable();
  const w = await connected(t);
  const COUNT = 60;
  const { group } = await queueMake(w, { deliveryLimit: -1 }, ...Array.from({ length: COUNT }, (u, i) => String(i)));
  const cut = await connected(t, { WebSocket: Cuttable });
  const member = cut.group(group, { credit: 7 });
  const accepted = [];
  for (let step = 0; (await fatesOf(w, group)).pending > 0; step++) {
    const { value: message } = await within("a record", member.next());
    if (step % 10 === 5) {
      Cuttable.cut();
    }
    await message.accept().then(() => accepted.push(message.offset), () => {});
  }
  assert.deepEqual(await fatesOf(w, group), { accepted: COUNT });
  assert.equal(new Set(accepted).size, accepted.length);
  assert.ok(accepted.length >= COUNT - COUNT / 10 - 2, `${accepted.length} answers came`);
});

test("a stream goes on behind what was accepted, and its partitions are shared", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w, { partitions: 2 });
  const group = `readers-${topic}`;
  for (let i = 0; i < 20; i++) {
    await w.publish(topic, String(i), { key: `k${i}` });
  }
  const first = w.group(group, { model: "stream", topic });
  const messages = await taken(first, 20);
  const last = new Map(messages.map((message) => [message.partition, message]));
  assert.equal(last.size, 2);
  const zero = messages.filter((message) => message.partition === 0);
  await zero[0].accept();
  const revoked = [];
  const shares = new Promise((resolve) => first.on("assigned", (assigned) => {
    revoked.push(...assigned.revoked);
    if (assigned.revoked.length > 0) {
      resolve();
    }
  }));
  const second = w.group(group);
  await within("a partition to be asked back", shares);
  const taken_over = await taken(second, 1);
  assert.equal(taken_over[0].partition, revoked[0].partition);
  const info = await w.groupInfo(group);
  assert.deepEqual(info.members.map(({ partitions }) => partitions), [1, 1]);
  await first.close();
  await second.close();
  assert.equal((await w.groupInfo(group)).partitions[0].committed, zero[0].offset + 1);
  await w.resetGroup(group, "end");
  assert.equal((await w.groupInfo(group)).lag, 0);
  await w.alterGroup(group, { sessionMs: 5000 });
  assert.equal((await w.groupInfo(group)).session_ms, 5000);
  await w.deleteGroup(group);
  assert.equal((await w.groups()).some((one) => one.group === group), false);
});

test("a queue that is full says so, and takes more when some are settled", async (t) => {
  const w = await connected(t);
  const topic = await topicMake(w, { kind: "queue" });
  await w.alterGroup(topic, { maxRecords: 1, overflow: "refuse" });
  await w.publish(topic, "a", { key: null });
  await assert.rejects(w.publish(topic, "b", { key: null }), refused("queue-full"));
  const member = w.group(topic);
  const [a] = await taken(member, 1);
  await a.accept();
  await w.publish(topic, "b", { key: null });
  const info = await w.groupInfo(topic);
  assert.deepEqual([info.max_records, info.max_bytes, info.overflow], [1, -1, "refuse"]);
  await assert.rejects(w.alterGroup(topic, { overflow: "burst" }), refused("invalid", "overflow"));
  await member.close();
});

test("an option that is none is named, and the one that may be meant", async (t) => {
  const w = await connected(t);
  const is = (words) => (error) => error instanceof TypeError && error.message.includes(words);
  await assert.rejects(w.createTopic("misspelt", { partition: 3 }), is("no option partition: did you mean partitions?"));
  await assert.rejects(w.createTopic("misspelt", { retention_ms: 3 }), is("did you mean retentionMs?"));
  await assert.rejects(w.alterTopic("misspelt", { nested: true }), is("alterTopic has no option nested"));
  await assert.rejects(w.createGroup("misspelt", { topic: "t", leaseMS: 3000 }), is("did you mean leaseMs?"));
  await assert.rejects(w.alterGroup("misspelt", { colour: 1 }), is("alterGroup has no option colour; it has model, mode"));
  assert.throws(() => w.group("misspelt", { credits: 1 }), is("group has no option credits: did you mean credit?"));
  assert.ok(!(await w.topics()).some(({ topic }) => topic === "misspelt"));
});

test("a record that is accepted twice was settled already", async (t) => {
  const w = await connected(t);
  const { group, topic } = await queueMake(w, {});
  await w.publish(topic, "once");
  const member = w.group(group);
  const { value } = await within("a record", member.next());
  await value.accept();
  await assert.rejects(value.accept(), (error) => error.code === "lease-lost" && /settled already/.test(error.text));
  await member.close();
  await assert.rejects(w.createGroup(group, { model: "queue", topic, leaseMs: 5123 }),
    (error) => error.code === "exists" && /not 5123: group alter changes it/.test(error.text));
  await assert.rejects(w.fetch(topic, 7, 0, { peek: true }), (error) => /No partition 7 is there/.test(error.text));
});

test("a group that is refused says why, at the iterator and at ready", async (t) => {
  const w = await connected(t);
  const { group, topic } = await queueMake(w, {});
  await assert.rejects(w.group("nobody-declared").ready, refused("not-found"));
  await assert.rejects(w.group(group, { model: "stream", topic }).next(), refused("exists"));
  await assert.rejects(w.createGroup(group, { model: "stream", topic }), refused("exists"));
  await assert.rejects(w.createGroup("x", { topic, leaseMs: 1 }), refused("invalid", "lease_ms"));
  assert.throws(() => w.group("x", { credit: 0 }), refused("invalid", "credit"));
});
