/* clients/javascript/weir.js - weir.v1 over WebSocket, for browsers and Node: one file, no dependency.
 *
 *     const w = await connect("ws://127.0.0.1:9347/v1");
 *     await w.publish("site/dev1/temp", "21.5");
 *     for await (const m of w.subscribe("site/+/temp")) console.log(m.name, m.text());
 *
 *     connecting --hello--> open --connection lost--> resuming --hello--> open ... --close()--> closed
 *
 * Happy path: connect says hello and resolves. Each command carries an id and is answered by it. A
 * subscription is one channel of the gateway that reads the stored topics from explicit positions, and,
 * when its filter can mean names under no topic, a second one for those live names. The gateway sends
 * what it has credit for; credit goes back as records are taken.
 *
 * Failures: a lost connection is made again, first soon, then ever more rarely, with chance in it.
 * A publish that was sent and not answered fails with code "unknown": it may be stored or not, and only
 * the caller knows whether to repeat it. One that was not sent yet waits in a bounded queue. Questions
 * (fetch, topics, offsets, query) are asked again. Subscriptions continue behind the last record that
 * arrived; what was lost of live names cannot be known, so it is told as the event "gap".
 *
 * [J1] A stored record that matches is given exactly once over all connections of a subscription: its
 * partitions' next offsets are all known before the first record is asked for, and move only with
 * records that arrived. [J2] What waits in a subscription is at most its credit (twice that, with live
 * names). [J3] Nothing of a connection is heard once it is lost. [J4] Every promise given out is settled.
 */

const VERSION = 1;
const CREDIT = 256; /* records that may wait in a subscription, unless it says otherwise */
const LOSSY_WINDOW = 4096; /* on their way to a subscription that drops: enough to fill the road */
const NAMES_MAX = 100000; /* waiting in a subscription with onSlow "last-value" */
const QUEUE_MAX = 1000; /* commands that wait for a connection */
const BUFFERED_MAX = 16 * 1024 * 1024; /* bytes the socket has not sent yet */
const HELLO_MS_MAX = 10000;
const GOODBYE_MS_MAX = 5000;
const PING_MS = 15000; /* of silence, then a ping; the same again without an answer: lost */
const CONNECT_MS_MAX = 30000;
const BACKOFF = { minMs: 100, maxMs: 10000 };
const HELLO_AGAIN = ["closed", "timeout", "limit", "io", "no-memory"]; /* another try may fare better */

/** What went wrong: `code` as in docs/weir.v1.md section 10, or "disconnected" (nothing was sent),
 *  "unknown" (sent, not answered), "aborted"; `field`, the member at fault, where there is one. */
export class WeirError extends Error {
  constructor(code, text, field) {
    super(text);
    this.name = "WeirError";
    this.code = code;
    this.field = field ?? null;
  }

  get text() {
    return this.message;
  }
}

/* ---- Events ---------------------------------------------------------------------------------- */

class Emitter {
  #listeners = new Map();

  /** Calls `listener` at each event of that type, until the function that it returns is called. */
  on(type, listener) {
    if (!this.#listeners.has(type)) {
      this.#listeners.set(type, new Set());
    }
    this.#listeners.get(type).add(listener);
    return () => this.off(type, listener);
  }

  off(type, listener) {
    this.#listeners.get(type)?.delete(listener);
  }

  _emit(type, value) {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => { throw error; }); /* the listener's fault: not swallowed, not ours */
      }
    }
  }
}

/* ---- Bytes, names, records ------------------------------------------------------------------- */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function base64Of(bytes) {
  const STEP = 0x8000;
  let text = "";
  for (let at = 0; at < bytes.length; at += STEP) {
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + STEP));
  }
  return btoa(text);
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/* A view of the bytes of an ArrayBuffer or of anything that lies in one; null for everything else. */
function viewOf(data) {
  if (data instanceof ArrayBuffer) {
    return new Uint8Array(data);
  }
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : null;
}

/* Puts what a person gave as a value into a publish command, in the form that keeps it as it is. */
function valueInto(record, data) {
  const view = viewOf(data);
  if (view !== null) {
    record.base64 = base64Of(view);
  } else if (typeof data === "string" || data === null) {
    record.value = data;
  } else if (data === undefined || typeof data === "function" || typeof data === "symbol") {
    throw new WeirError("invalid", "Give data as text, bytes, null (a tombstone) or what JSON can say.", "data");
  } else {
    record.json = data;
  }
}

function headersOf(headers) {
  const pairs = Array.isArray(headers) ? headers : headers instanceof Map ? [...headers] : Object.entries(headers);
  return pairs.map(([name, value]) => {
    const view = viewOf(value);
    return [name, view === null ? (value === null ? null : String(value)) : { base64: base64Of(view) }];
  });
}

const SAME_IN_BOTH = [["contentType", "content_type"], ["reply", "reply"], ["correlation", "correlation"],
  ["traceparent", "traceparent"], ["expiry", "expiry"], ["retain", "retain"],
  ["producer", "producer"], ["publishingId", "publishing_id"]];

/* The record part of a publish command. With a key, `target` is a topic, otherwise a full name. */
function recordOf(target, data, options) {
  const record = {};
  if (target !== undefined) {
    if (typeof target !== "string") {
      throw new WeirError("invalid", "Give the name, or the topic, as text.", "name");
    }
    record[options.key === undefined ? "name" : "topic"] = target;
  }
  const key = viewOf(options.key);
  if (key !== null) {
    record.key_base64 = base64Of(key);
  } else if (options.key !== undefined && options.key !== null) {
    record.key = String(options.key);
  }
  valueInto(record, data);
  if (options.headers !== undefined) {
    record.headers = headersOf(options.headers);
  }
  for (const [ours, theirs] of SAME_IN_BOTH) {
    if (options[ours] !== undefined) {
      record[theirs] = options[ours];
    }
  }
  return record;
}

/** One record that came from the gateway. */
export class Message {
  constructor(record) {
    this.topic = record.topic ?? null; /* null: a live name */
    this.name = record.name;
    this.partition = record.partition ?? null;
    this.offset = record.offset ?? null;
    this.time = record.time; /* Unix milliseconds */
    this.live = record.live === true;
    this.retained = record.retained === true;
    this.record = record; /* as it came: docs/weir.v1.md section 4 */
  }

  /** Text, bytes when it is no text, null when there is none. */
  get key() {
    const record = this.record;
    return record.key_base64 !== undefined ? bytesOf(record.key_base64) : record.key ?? null;
  }

  get tombstone() {
    return this.record.value === null;
  }

  /** The first value of each name; an object without a prototype. headerList has all, in order. */
  get headers() {
    const all = Object.create(null);
    for (const [name, value] of this.headerList) {
      if (!(name in all)) {
        all[name] = value;
      }
    }
    return all;
  }

  get headerList() {
    return (this.record.headers ?? []).map(([name, value]) =>
      [name, value !== null && typeof value === "object" ? bytesOf(value.base64) : value]);
  }

  get contentType() { return this.record.content_type ?? null; }
  get reply() { return this.record.reply ?? null; }
  get correlation() { return this.record.correlation ?? null; }
  get traceparent() { return this.record.traceparent ?? null; }
  get expiry() { return this.record.expiry ?? null; }

  /** The value as bytes; null for a tombstone. */
  bytes() {
    const { value, base64 } = this.record;
    return base64 !== undefined ? bytesOf(base64) : value === null ? null : encoder.encode(value);
  }

  /** The value as text, ill-formed UTF-8 replaced; null for a tombstone. */
  text() {
    const { value, base64 } = this.record;
    return base64 !== undefined ? decoder.decode(bytesOf(base64)) : value;
  }

  /** The value parsed as JSON; throws SyntaxError when it is none; null for a tombstone. */
  json() {
    const text = this.text();
    return text === null ? null : JSON.parse(text);
  }
}

function published(answer) {
  return {
    partition: answer.partition ?? null,
    offset: answer.offset ?? null,
    level: answer.level,
    live: answer.live === true,
    duplicate: answer.duplicate === true,
    time: answer.time ?? null,
  };
}

function errorOf(error) {
  return new WeirError(error.code, error.text, error.field);
}

/* ---- Filters --------------------------------------------------------------------------------- */

/* Whether names under the topic can match: the topic's records have to be read. */
function filterReaches(filter, topic) {
  const wanted = filter.split("/"), levels = topic.split("/");
  for (let i = 0; i < levels.length; i++) {
    const here = wanted[i];
    const hidden = i === 0 && levels[0].startsWith("$"); /* wildcards do not mean $SYS and the like */
    if (here === undefined || (here !== levels[i] && (hidden || (here !== "#" && here !== "+")))) {
      return false;
    }
    if (here === "#") {
      return true;
    }
  }
  return true;
}

/* Whether every name that matches is under one of the topics: then there are no live names to hear. */
function filterCovered(filter, topics) {
  const levels = filter.split("/");
  const wild = levels.findIndex((level) => level === "+" || level === "#");
  const literal = (wild < 0 ? levels : levels.slice(0, wild)).join("/") + "/";
  return topics.some((topic) => literal.startsWith(topic.topic + "/"));
}

/* ---- Subscriptions --------------------------------------------------------------------------- */

/* A queue whose front is cheap. */
class Line {
  #list = [];
  #head = 0;

  get size() {
    return this.#list.length - this.#head;
  }

  push(value) {
    this.#list.push(value);
  }

  shift() {
    const value = this.#list[this.#head];
    this.#list[this.#head++] = undefined;
    if (this.#head > 1024 && this.#head * 2 > this.#list.length) {
      this.#list = this.#list.slice(this.#head);
      this.#head = 0;
    }
    return value;
  }
}

/* The newest message of each name, in the order in which names began to wait. */
class LastValues {
  #byName = new Map();
  replaced = 0;

  get size() {
    return this.#byName.size;
  }

  push(message) {
    if (this.#byName.has(message.name)) {
      this.replaced++;
    }
    this.#byName.set(message.name, message);
  }

  shift() {
    const [name, message] = this.#byName.entries().next().value;
    this.#byName.delete(name);
    return message;
  }
}

const ON_SLOW = ["pause", "drop-oldest", "last-value"];

/* What a subscription's options mean; refuses what means nothing before anything is sent. */
function subscribeOptions(filter, options) {
  const credit = options.credit ?? CREDIT;
  const onSlow = options.onSlow ?? "pause";
  if (typeof filter !== "string" || filter === "") {
    throw new WeirError("invalid", "Give the filter as text: site/+/temp, or site/#.", "filter");
  }
  if (!Number.isSafeInteger(credit) || credit < 1) {
    throw new WeirError("invalid", "Give credit as a number of records, 1 or more.", "credit");
  }
  if (!ON_SLOW.includes(onSlow)) {
    throw new WeirError("invalid", `Give onSlow as one of ${ON_SLOW.join(", ")}.`, "onSlow");
  }
  const from = options.from instanceof Date ? { time: options.from } : options.from ?? "end";
  const position = startOf(from); /* refuses what it does not understand */
  const time = timeOf(from);
  if (options.untilEnd === true && from === "end") {
    throw new WeirError("invalid", "Say where to begin with from: from the end, nothing is before it.", "untilEnd");
  }
  return { credit, onSlow, position, time, untilEnd: options.untilEnd === true, retained: options.retained === true };
}

/* A function from a partition's {topic, partition, start, end, found} to the first offset to read. */
function startOf(from) {
  const last = typeof from === "string" ? /^last:([1-9][0-9]{0,14})$/.exec(from) : null;
  if (from === "end") {
    return (at) => at.end;
  }
  if (from === "beginning") {
    return (at) => at.start;
  }
  if (last !== null) {
    return (at) => Math.max(at.start, at.end - Number(last[1]));
  }
  if (Number.isSafeInteger(from) && from >= 0) {
    return (at) => Math.min(from, at.end);
  }
  if (Array.isArray(from)) {
    return (at) => {
      const named = from.find((one) => one.topic === at.topic && (one.partition ?? 0) === at.partition);
      return named === undefined ? at.end : Math.min(named.offset, at.end);
    };
  }
  if (from !== null && typeof from === "object" && from.time !== undefined) {
    return (at) => at.found ?? at.end;
  }
  throw new WeirError("invalid", "Give from as \"end\", \"beginning\", \"last:N\", an offset, {time} or a list of " +
    "positions.", "from");
}

/* Unix milliseconds; undefined when it begins elsewhere. */
function timeOf(from) {
  const time = from !== null && typeof from === "object" ? from.time : undefined;
  const milliseconds = typeof time === "string" ? Date.parse(time) : Number(time);
  if (time !== undefined && !Number.isFinite(milliseconds)) {
    throw new WeirError("invalid", "Give time as Unix milliseconds, a Date, or text such as " +
      "2026-01-31T12:00:00Z.", "from");
  }
  return time === undefined ? undefined : Math.ceil(milliseconds);
}

/** Records as they come, for `for await`. Made by Weir.subscribe. */
class Subscription extends Emitter {
  #weir;
  #options;
  #waiting; /* messages not taken yet */
  #takers = []; /* promises of next() not kept yet */
  #next = new Map(); /* topic -> next offset of each partition to arrive [J1] */
  #given = new Map(); /* the same, to be taken */
  #channels = { stored: null, live: null }; /* {number, used} of this connection */
  #queued = { stored: 0, live: 0 };
  #begun = false; /* the positions are known */
  #opened = false; /* the gateway has begun to send, once at least */
  #lastTime = 0; /* of the newest stored record */
  #ended = false;
  #error = null;
  #ready;

  constructor(weir, filter, options) {
    super();
    this.#weir = weir;
    this.#options = subscribeOptions(filter, options);
    this.#waiting = this.#options.onSlow === "last-value" ? new LastValues() : new Line();
    this.filter = filter;
    this.dropped = 0; /* records not given, because they came too fast: here and at the gateway */
    let settle = null;
    /** Resolves when the gateway has begun to send: what is published from now on will come. */
    this.ready = new Promise((resolve, reject) => { settle = { resolve, reject }; });
    this.ready.catch(() => {}); /* the iterator tells, too */
    this.#ready = settle;
    options.signal?.addEventListener("abort", () => this.close(), { once: true });
    if (options.signal?.aborted) {
      this.close();
    }
  }

  /** Records replaced by newer ones of their name; with onSlow "last-value". */
  get replaced() {
    return this.#waiting.replaced ?? 0;
  }

  /** Where each partition goes on behind what was taken: what `from` takes, to continue another day. */
  get positions() {
    const list = [];
    for (const [topic, offsets] of this.#given) {
      offsets.forEach((offset, partition) => list.push({ topic, partition, offset }));
    }
    return list;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  next() {
    if (this.#waiting.size > 0) {
      return Promise.resolve({ value: this.#take(), done: false });
    }
    if (this.#error !== null) {
      const error = this.#error;
      this.#error = null;
      return Promise.reject(error);
    }
    if (this.#ended) {
      return Promise.resolve({ value: undefined, done: true });
    }
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  /** As `break` in a for await does. */
  async return() {
    await this.close();
    return { value: undefined, done: true };
  }

  /** Ends it at the gateway; what has arrived can still be taken. */
  async close() {
    await Promise.all(this.#stop().map((number) => this.#unsubscribe(number)));
  }

  /* A failure means that the gateway has ended it already. */
  #unsubscribe(subscription) {
    return this.#weir._ask({ cmd: "unsubscribe", subscription }, { now: this.#weir._connection }).catch(() => {});
  }

  /* Ends the iterator; gives the numbers of what the gateway still sends. */
  #stop(error = null) {
    const numbers = this.#channelsForget();
    if (!this.#ended) {
      this.#ended = true;
      this.#error = error;
      this.#weir._subscriptionGone(this);
      this.#ready.reject(error ?? new WeirError("closed", "The subscription was closed."));
      this.#takersEnd();
    }
    return numbers;
  }

  #takersEnd() {
    const takers = this.#takers.splice(0);
    takers.forEach((taker, index) => {
      if (index === 0 && this.#error !== null) {
        taker.reject(this.#error);
        this.#error = null;
      } else {
        taker.resolve({ value: undefined, done: true });
      }
    });
  }

  #channelsForget() {
    const numbers = [];
    for (const kind of ["stored", "live"]) {
      if (this.#channels[kind] !== null) {
        numbers.push(this.#channels[kind].number);
        this.#weir._channelForget(this.#channels[kind].number);
        this.#channels[kind] = null;
      }
    }
    return numbers;
  }

  /* ---- Beginning, and going on after a lost connection ---- */

  /* The connection is open. */
  async _establish() {
    const connection = this.#weir._connection;
    const resumed = this.#opened;
    try {
      for (let topics = await this.#topicsNow(connection); topics !== null;) {
        topics = await this.#open(connection, topics);
      }
      this.#ready.resolve();
      if (resumed && this.#channels.live !== null) {
        this._emit("gap", { filter: this.filter, live: true });
      }
    } catch (error) {
      if (connection === this.#weir._connection && !this.#ended) {
        this.#stop(error);
      } /* otherwise the next connection tries again */
    }
  }

  _connectionLost() {
    this.#channelsForget();
  }

  _closed(error) {
    this.#stop(error);
  }

  async #topicsNow(connection) {
    return (await this.#weir._ask({ cmd: "topic", action: "list" }, { now: connection })).topics;
  }

  /* Opens the channels; null when that is all, or topics that were declared meanwhile: then again. */
  async #open(connection, topics) {
    const reached = topics.filter((topic) => filterReaches(this.filter, topic.topic));
    const positions = await this.#positionsFind(connection, reached);
    const { untilEnd, retained } = this.#options;
    this.#begun = true;
    await this.#channelOpen(connection, "stored", {
      from: positions.length > 0 ? positions : "beginning", /* of topics declared after this */
      ...(untilEnd && { until_end: true }),
      ...(!this.#opened && retained && { retained: true }),
    });
    if (!untilEnd && !filterCovered(this.filter, topics)) {
      await this.#channelOpen(connection, "live", { from: "end" });
    }
    const after = await this.#topicsNow(connection);
    const known = new Set(topics.map((topic) => topic.topic));
    if (after.every((topic) => known.has(topic.topic) || !filterReaches(this.filter, topic.topic))) {
      return null;
    }
    await Promise.all(this.#channelsForget().map((number) => this.#unsubscribe(number)));
    return after;
  }

  /* Where to read each partition of the topics from; remembers it. [J1] */
  async #positionsFind(connection, topics) {
    const first = !this.#begun;
    const time = first ? this.#options.time : this.#lastTime + 1;
    const answers = await Promise.all(topics.map((topic) => this.#weir._ask(
      { cmd: "topic", action: "offsets", topic: topic.topic, ...(time !== undefined && { time }) },
      { now: connection }).catch((error) => {
      if (error.code === "not-found") {
        return { topic: topic.topic, offsets: [] }; /* deleted since it was listed */
      }
      throw error;
    })));
    const positions = [];
    for (const { topic, offsets } of answers) {
      const before = this.#next.get(topic);
      const list = offsets.map((at) => {
        const here = before?.[at.partition];
        return first ? this.#options.position({ ...at, topic }) : this.#goOn(topic, at, here);
      });
      this.#next.set(topic, list);
      this.#givenFrom(topic, list, before);
      list.forEach((offset, partition) => positions.push({ topic, partition, offset }));
    }
    return positions;
  }

  /* Where nothing was taken yet, or what was is no more, taking goes on where reading does. */
  #givenFrom(topic, list, before) {
    const given = this.#given.get(topic) ?? [];
    list.forEach((offset, partition) => {
      if (offset !== before?.[partition] || given[partition] === undefined) {
        given[partition] = offset;
      }
    });
    this.#given.set(topic, given);
  }

  #goOn(topic, at, here) {
    if (here !== undefined && here <= at.end) {
      return here;
    }
    if (here === undefined) {
      return at.start; /* declared while we were away: all of it is new */
    }
    /* Declared anew, or its level was memory and the gateway was killed: offsets mean other records now. */
    this._emit("gap", { filter: this.filter, live: false, topic, partition: at.partition, from: here, to: at.found });
    return at.found;
  }

  #channelOpen(connection, kind, members) {
    const { onSlow } = this.#options;
    const most = this.#window() - (onSlow === "pause" ? this.#queued[kind] : 0);
    const command = { cmd: "subscribe", filter: this.filter, credit: Math.max(0, most), ...members };
    return this.#weir._ask(command, {
      now: connection,
      answered: (answer) => { /* at once: records may follow in the same turn */
        if (this.#ended) {
          this.#unsubscribe(answer.subscription);
          return;
        }
        this.#opened = true;
        this.#channels[kind] = { number: answer.subscription, used: 0 };
        this.#weir._channelKeep(answer.subscription, this, kind);
      },
    });
  }

  /* ---- Records ---- */

  _records(kind, records) {
    const live = kind === "live";
    let offsets = null;
    let topic = null;
    let passed = 0;
    let dropped = 0;
    for (const record of records) {
      if (live && record.live !== true) {
        passed++; /* the other channel has it */
        continue;
      }
      if (!live && record.retained !== true && record.topic !== undefined) {
        if (record.topic !== topic) {
          topic = record.topic;
          offsets = this.#next.get(topic);
          if (offsets === undefined) { /* declared since */
            this.#next.set(topic, offsets = []);
            this.#given.set(topic, []);
          }
        }
        if (record.offset < offsets[record.partition]) {
          passed++;
          continue;
        }
        offsets[record.partition] = record.offset + 1;
        this.#lastTime = Math.max(this.#lastTime, record.time);
      }
      dropped += this.#give(kind, new Message(record));
    }
    if (dropped > 0) {
      this.#drop(dropped);
    }
    if (this.#options.onSlow !== "pause") {
      this.#creditReturn(kind, records.length); /* it is never what waits here that holds it back */
    } else if (passed > 0) {
      this.#creditReturn(kind, passed);
    }
  }

  /* Gives the number of messages that had to go for it. */
  #give(kind, message) {
    if (this.#takers.length > 0) {
      this.#takers.shift().resolve({ value: message, done: false });
      this.#taken(message);
      this.#creditTaken(kind);
      return 0;
    }
    this.#waiting.push(message);
    if (this.#options.onSlow === "pause") {
      this.#queued[kind]++;
      return 0;
    }
    const most = this.#options.onSlow === "last-value" ? NAMES_MAX : this.#options.credit;
    if (this.#waiting.size <= most) {
      return 0;
    }
    this.#waiting.shift();
    return 1;
  }

  #take() {
    const message = this.#waiting.shift();
    this.#taken(message);
    if (this.#options.onSlow === "pause") {
      const kind = message.live && !message.retained ? "live" : "stored"; /* retained ones come with the stored */
      this.#queued[kind]--;
      this.#creditTaken(kind);
    }
    return message;
  }

  #taken(message) {
    if (message.offset !== null && !message.retained) {
      this.#given.get(message.topic)[message.partition] = message.offset + 1;
    }
  }

  #creditTaken(kind) {
    if (this.#options.onSlow === "pause") {
      this.#creditReturn(kind, 1);
    }
  }

  /* How many records the gateway may have sent and not got back. */
  #window() {
    const { credit, onSlow } = this.#options;
    return onSlow === "pause" ? credit : Math.max(credit, LOSSY_WINDOW);
  }

  #creditReturn(kind, count) {
    const channel = this.#channels[kind];
    if (channel === null) {
      return; /* the next connection's first credit counts what waits */
    }
    channel.used += count;
    if (channel.used * 2 >= this.#window()) {
      this.#weir._tell({ cmd: "credit", subscription: channel.number, records: channel.used });
      channel.used = 0;
    }
  }

  #drop(count) {
    this.dropped += count;
    this._emit("dropped", { filter: this.filter, count });
  }

  _notice(kind, notice) {
    if (notice.type === "dropped") {
      this.#drop(notice.count);
    } else if (notice.type === "gap") {
      this._emit("gap", { filter: this.filter, live: false, from: notice.from, to: notice.to });
    } else if (notice.type === "ended" && kind === "stored") {
      this.close();
    }
  }
}

/* ---- Members of groups ----------------------------------------------------------------------- */

/** A record that was handed to a member of a group. Say once what became of it. */
export class GroupMessage extends Message {
  #member;
  #membership;

  constructor(record, member, membership, mode) {
    super(record);
    this.#member = member;
    this.#membership = membership;
    this.mode = mode; /* in which it was handed out: the group's may have been changed since */
    this.leased = record.leased ?? 1; /* times, this one included */
    this.failed = record.failed ?? 0;
  }

  /** Done. Resolves when the gateway remembers it; rejects with lease-lost when another has it now. What was
   *  handed out at-most-once was accepted before: it resolves, and nothing changes. */
  accept() {
    return this.#member._settle(this, this.#membership, "accept", {});
  }

  /** It is handed out again, after delayMs; `failed` counts towards the group's delivery limit. */
  release({ delayMs, failed, reason } = {}) {
    return this.#member._settle(this, this.#membership, "release", { delay_ms: delayMs, failed, reason: lineOf(reason) });
  }

  /** Never again: it goes to the group's dead-letter topic, if there is one. */
  reject(reason) {
    return this.#member._settle(this, this.#membership, "reject", { reason: lineOf(reason) });
  }

  /** Its lease begins anew. The member does so by itself, unless its option `renew` is false. */
  renew() {
    return this.#member._settle(this, this.#membership, "renew", {});
  }
}

/* A reason is one line without control characters; an error's text may be of several. */
const lineOf = (reason) => reason == null ? undefined
  : String(reason).replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");

/** A member of a consumer group: `for await` gives GroupMessages. Made by Weir.group.
 *
 *      joining --join--> member --connection lost, fenced--> joining ... --close()--> closed
 *
 *  A lost connection ends the membership, and what was held goes to others; the member joins again, and
 *  forgets what waited. It says that it is alive, and renews the leases of what it was given.
 *
 *  [M1] What the gateway has handed over and is not settled is at most `credit`, for queues; what waits
 *  here, for streams and at-most-once. [M2] A record is settled only in the membership in which it came. */
class Member extends Emitter {
  #weir;
  #options;
  #waiting = new Line();
  #takers = []; /* promises of next() not kept yet */
  #held = new Set(); /* of a queue: records that are not settled */
  #membership = null; /* of this connection: {number, model, mode, generation, leaseMs, sessionMs} */
  #used = 0; /* credit to be given back */
  #stopTimers = [];
  #ended = false;
  #error = null;
  #ready;

  constructor(weir, group, options) {
    super();
    const credit = options.credit ?? CREDIT;
    optionsCheck(options, [...Object.keys(GROUP_WORDS), ...MEMBER_OPTIONS], "group");
    if (typeof group !== "string" || group === "") {
      throw new WeirError("invalid", "Give the group's name as text.", "group");
    }
    if (!Number.isSafeInteger(credit) || credit < 1) {
      throw new WeirError("invalid", "Give credit as a number of records, 1 or more.", "credit");
    }
    this.#weir = weir;
    this.#options = { ...options, credit };
    this.group = group;
    let settle = null;
    /** Resolves when it has joined; rejects when the gateway refuses it. */
    this.ready = new Promise((resolve, reject) => { settle = { resolve, reject }; });
    this.ready.catch(() => {}); /* the iterator tells, too */
    this.#ready = settle;
    options.signal?.addEventListener("abort", () => this.close(), { once: true });
    if (options.signal?.aborted) {
      this.close();
    }
  }

  /** "stream" or "queue"; null until it has joined. */
  get model() {
    return this.#membership?.model ?? null;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  next() {
    if (this.#waiting.size > 0) {
      return Promise.resolve({ value: this.#taken(this.#waiting.shift()), done: false });
    }
    if (this.#error !== null) {
      const error = this.#error;
      this.#error = null;
      return Promise.reject(error);
    }
    if (this.#ended) {
      return Promise.resolve({ value: undefined, done: true });
    }
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  /** As `break` in a for await does. */
  async return() {
    await this.close();
    return { value: undefined, done: true };
  }

  /** Leaves the group in order: what it holds goes to others, and is no failure. */
  async close() {
    await this.#leave(this.#stop());
  }

  #leave(number) {
    return number === null ? Promise.resolve()
      : this.#weir._ask({ cmd: "leave", member: number }, { now: this.#weir._connection }).catch(() => {});
  }

  /* Ends the iterator; gives the member's number if it is one. */
  #stop(error = null) {
    const number = this.#membershipForget();
    if (!this.#ended) {
      this.#ended = true;
      this.#error = error;
      this.#weir._subscriptionGone(this);
      this.#ready.reject(error ?? new WeirError("closed", "The member was closed."));
      this.#takers.splice(0).forEach((taker) => {
        if (this.#error !== null) {
          taker.reject(this.#error);
          this.#error = null;
        } else {
          taker.resolve({ value: undefined, done: true });
        }
      });
    }
    return number;
  }

  /* What waited comes again, here or elsewhere: [M2]. */
  #membershipForget() {
    const number = this.#membership?.number ?? null;
    this.#stopTimers.splice(0).forEach((stop) => stop());
    this.#waiting = new Line();
    this.#held.clear();
    this.#used = 0;
    this.#membership = null;
    if (number !== null) {
      this.#weir._memberForget(number);
    }
    return number;
  }

  /* ---- Joining ---- */

  /* The connection is open. */
  async _establish() {
    const connection = this.#weir._connection;
    const { member, instance, credit } = this.#options;
    try {
      await this.#weir._ask({ cmd: "join", group: this.group, member, instance, credit, ...wordsOf(this.#options, GROUP_WORDS) },
        { now: connection, answered: (answer) => this.#joined(answer) });
      this.#ready.resolve();
    } catch (error) {
      if (connection === this.#weir._connection && !this.#ended) {
        this.#stop(error);
      } /* otherwise the next connection tries again */
    }
  }

  #joined(answer) {
    if (this.#ended) {
      this.#leave(answer.member);
      return;
    }
    this.#membership = { number: answer.member, model: answer.model, mode: answer.mode,
      generation: answer.generation, leaseMs: answer.lease_ms ?? -1, sessionMs: answer.session_ms };
    this.#weir._memberKeep(answer.member, this);
    this.#every(answer.session_ms, () => this.#weir._tell({ cmd: "beat", member: answer.member }));
    if (answer.model === "queue" && answer.lease_ms > 0 && this.#options.renew !== false) {
      this.#every(answer.lease_ms, () => this.#renew());
    }
  }

  /* Three times in `milliseconds`. */
  #every(milliseconds, call) {
    const set = setInterval(call, Math.min(milliseconds / 3, 0x7fffffff));
    set.unref?.();
    this.#stopTimers.push(() => clearInterval(set));
  }

  /* One record of each lease stands for all of it. */
  #renew() {
    const leases = new Map();
    for (const record of this.#held) {
      leases.set(`${record.lease} ${record.partition} ${record.topic}`, record);
    }
    for (const records of byEpoch([...leases.values()])) {
      this.#weir._tell({ cmd: "settle", member: this.#membership.number, verb: "renew", confirm: false,
        records: records.map(placeOf) });
    }
  }

  _connectionLost() {
    this.#membershipForget();
  }

  _closed(error) {
    this.#stop(error);
  }

  /* ---- What comes ---- */

  _unasked(message) {
    if (message.type === "records") {
      message.records.forEach((record) => this.#give(record, message.mode ?? this.#membership?.mode));
    } else if (message.type === "assigned") {
      this.#assigned(message);
    } else if (message.type === "stopped") {
      this.#leave(this.#stop(errorOf(message.error)));
    }
  }

  #give(record, mode) {
    const message = new GroupMessage(record, this, this.#membership, mode);
    if (isHeld(message)) {
      this.#held.add(record);
    }
    if (this.#takers.length > 0) {
      this.#takers.shift().resolve({ value: this.#taken(message), done: false });
    } else {
      this.#waiting.push(message);
    }
  }

  /* What needs no answer makes room as soon as it is taken. */
  #taken(message) {
    if (!isHeld(message)) {
      this.#creditReturn();
    }
    return message;
  }

  #creditReturn(count = 1) {
    this.#used += count;
    if (this.#membership !== null && this.#used * 2 >= this.#options.credit) {
      this.#weir._tell({ cmd: "credit", member: this.#membership.number, records: this.#used });
      this.#used = 0;
    }
  }

  async #assigned(message) {
    const membership = this.#membership;
    if (message.fenced) {
      this.#membershipForget();
      this._emit("fenced", { group: this.group });
      if (!this.#ended) {
        this._establish();
      }
      return;
    }
    membership.generation = message.generation;
    this.#withoutPartitions(message.revoked);
    this._emit("assigned", { generation: message.generation, partitions: message.partitions, revoked: message.revoked });
    if (message.revoked.length === 0) {
      return;
    }
    try {
      await this.#options.onRevoked?.(message.revoked);
    } finally {
      if (membership === this.#membership) {
        this.#weir._tell({ cmd: "revoked", member: membership.number, generation: message.generation });
      }
    }
  }

  /* Records of partitions that go to others are not begun any more. */
  #withoutPartitions(revoked) {
    const gone = new Set(revoked.map(({ topic, partition }) => `${partition} ${topic}`));
    const left = new Line();
    let dropped = 0;
    while (this.#waiting.size > 0) {
      const message = this.#waiting.shift();
      if (gone.has(`${message.partition} ${message.topic}`)) {
        dropped++;
      } else {
        left.push(message);
      }
    }
    this.#waiting = left;
    this.#creditReturn(dropped);
  }

  /* ---- What is said of it ---- */

  async _settle(message, membership, verb, more) {
    const { record } = message;
    if (membership === null || membership !== this.#membership) { /* [M2] */
      throw new WeirError("lease-lost", "The member has joined again since, or was closed: the record comes again.");
    }
    if (message.mode === "at-most-once" && verb === "accept") {
      return { settled: 0, refused: 0 }; /* it was accepted before it was handed over */
    }
    const now = { now: this.#weir._connection };
    if (record.lease === undefined && verb === "accept") {
      return outcome(await this.#weir._ask({ cmd: "commit", member: membership.number,
        offsets: [{ topic: record.topic, partition: record.partition, offset: record.offset + 1 }] }, now));
    }
    try {
      return outcome(await this.#weir._ask({ cmd: "settle", member: membership.number, verb, ...more,
        records: [placeOf(record)] }, now));
    } finally {
      if (verb !== "renew" && membership === this.#membership && this.#held.delete(record)) {
        this.#creditReturn();
      }
    }
  }
}

/* Whether the gateway waits to hear what became of it, under a lease. */
const isHeld = ({ mode, record }) => record.lease !== undefined && mode !== "at-most-once";

const placeOf = ({ topic, partition, offset, lease }) => ({ topic, partition, offset, lease });

function outcome({ id, ok, ...answer }) {
  return answer;
}

/* One settle has leases of one start of the gateway: the number before the "-". */
function byEpoch(records) {
  const lists = new Map();
  for (const record of records) {
    const epoch = record.lease.split("-")[0];
    lists.set(epoch, [...(lists.get(epoch) ?? []), record]);
  }
  return lists.values();
}

/* ---- Options that say what a topic or a group is --------------------------------------------- */

/* Each as weir.v1 names it. */
const TOPIC_CHANGES = { partitions: "partitions", durability: "durability", cleanup: "cleanup",
  retentionMs: "retention_ms", retentionBytes: "retention_bytes", segmentBytes: "segment_bytes", segmentMs: "segment_ms",
  deleteRetentionMs: "delete_retention_ms", minCompactionLagMs: "min_compaction_lag_ms",
  retentionUnsettled: "retention_unsettled", retentionUnsettledBytes: "retention_unsettled_bytes" };
const TOPIC_WORDS = { ...TOPIC_CHANGES, nested: "nested", partitionLevels: "partition_levels", kind: "kind" };
const GROUP_WORDS = { model: "model", mode: "mode", topic: "topic", topics: "topics", filter: "filter", start: "start",
  removed: "removed", deadLetter: "dead_letter", sessionMs: "session_ms", expiryMs: "expiry_ms", leaseMs: "lease_ms",
  deliveryLimit: "delivery_limit", leasedMax: "leased_max", unsettledMax: "unsettled_max", keyOrdered: "key_ordered",
  singleActive: "single_active", retryDelayMs: "retry_delay_ms", maxRecords: "max_records", maxBytes: "max_bytes",
  overflow: "overflow" };
const MEMBER_OPTIONS = ["member", "instance", "credit", "renew", "onRevoked", "signal"];

/* How many letters have to be put in, left out or changed. */
function distance(from, to) {
  let row = [...to, ""].map((unused, at) => at);
  [...from].forEach((letter, i) => {
    const next = [i + 1];
    [...to].forEach((other, at) => {
      next.push(Math.min(row[at] + (letter === other ? 0 : 1), row[at + 1] + 1, next[at] + 1));
    });
    row = next;
  });
  return row[to.length];
}

/* Throws for an option that nobody knows, and names the one that may be meant. */
function optionsCheck(options, known, call) {
  const plain = (name) => name.toLowerCase().replace(/[_-]/g, "");
  const unknown = Object.keys(options ?? {}).find((name) => !known.includes(name));
  if (unknown === undefined) {
    return;
  }
  const [near, far] = known.map((name) => [name, distance(plain(unknown), plain(name))])
    .reduce((best, one) => (one[1] < best[1] ? one : best));
  throw new TypeError(`${call} has no option ${unknown}${far <= Math.max(2, near.length / 4)
    ? `: did you mean ${near}?` : `; it has ${known.join(", ")}.`}`);
}

function wordsOf(options, words) {
  return Object.fromEntries(Object.entries(words).map(([name, word]) => [word, options?.[name]]));
}

/* ---- The connection -------------------------------------------------------------------------- */

function urlOf(url) {
  let whole;
  try {
    whole = new URL(url ?? "/v1", globalThis.location?.href);
  } catch {
    throw new WeirError("invalid", "Give the gateway's address, such as ws://127.0.0.1:9347/v1.", "url");
  }
  whole.protocol = whole.protocol.replace(/^http/, "ws");
  if (whole.pathname === "/") {
    whole.pathname = "/v1";
  }
  return whole.href;
}

function timer(milliseconds, call) {
  const set = setTimeout(call, milliseconds);
  return () => clearTimeout(set);
}

/** A conversation with a gateway, over as many connections as it takes. Made by connect. */
class Weir extends Emitter {
  #url;
  #options;
  #Socket;
  #socket = null;
  #status = "connecting";
  #attempts = 0;
  #asked = new Map(); /* id -> what waits for its answer */
  #queue = []; /* commands that wait for a connection */
  #lastId = 0;
  #channels = new Map(); /* subscription number -> [Subscription, kind] */
  #subscriptions = new Set(); /* and members of groups */
  #members = new Map(); /* number -> Member */
  #draining = false; /* the gateway takes no new work, or we have said goodbye */
  #closing = false;
  #heard = false; /* anything since the last look */
  #stopTimers = [];
  #retry = null; /* stops the timer of the next attempt */
  #first = null; /* {resolve, reject} of connect's promise */
  _connection = 0; /* counts connections that were lost */

  constructor(url, options) {
    super();
    this.#url = urlOf(url);
    this.#options = { queueMax: QUEUE_MAX, pingMs: PING_MS, connectMs: CONNECT_MS_MAX, ...options };
    this.#options.backoff = { ...BACKOFF, ...options.backoff };
    this.#Socket = options.WebSocket ?? globalThis.WebSocket;
    /** What the gateway said in its hello: version, server, limits, durability. */
    this.gateway = null;
    if (this.#Socket === undefined) {
      throw new WeirError("invalid", "There is no WebSocket here: give a constructor as the option WebSocket, " +
        "such as that of the package ws.", "WebSocket");
    }
  }

  /** connecting, open, resuming or closed. */
  get status() {
    return this.#status;
  }

  get url() {
    return this.#url;
  }

  #become(status, error = null) {
    if (status !== this.#status) {
      this.#status = status;
      this._emit("status", status);
    }
    if (error !== null) {
      this._emit("error", error);
    }
  }

  /* ---- Connecting ---- */

  _start() {
    const { signal, connectMs } = this.#options;
    return new Promise((resolve, reject) => {
      this.#first = { resolve: () => resolve(this), reject };
      if (signal?.aborted) {
        this.#finish(new WeirError("aborted", "The signal was aborted."));
        return;
      }
      signal?.addEventListener("abort", () => this.#finish(new WeirError("aborted", "The signal was aborted.")),
        { once: true });
      if (connectMs > 0) {
        this.#first.stop = timer(connectMs, () => this.#finish(new WeirError("timeout",
          `No gateway answered at ${this.#url} within ${connectMs} ms.`)));
      }
      this.#attempt();
    });
  }

  #attempt() {
    this.#retry = null;
    let socket;
    try {
      socket = new this.#Socket(this.#url, ["weir.v1"]);
    } catch (error) { /* an address that is none */
      this.#finish(new WeirError("invalid", error.message, "url"));
      return;
    }
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket === this.#socket && this.#hello(socket);
    socket.onmessage = (event) => socket === this.#socket && this.#message(event.data); /* [J3] */
    socket.onerror = () => {}; /* close follows */
    socket.onclose = () => this.#lost(socket);
    this.#stopTimers = [timer(HELLO_MS_MAX, () => this.#lost(socket))];
  }

  #hello(socket) {
    const { token, clientId } = this.#options;
    const command = { cmd: "hello", version: VERSION, client: clientId ?? "weir.js" };
    if (token !== undefined) {
      command.token = token;
    }
    if (this.gateway !== null) {
      command.resume = this.gateway.session;
    }
    this.#send(command, {
      answered: (answer) => this.#opened(answer),
      reject: (error) => {
        if (socket !== this.#socket) {
          return;
        }
        if (HELLO_AGAIN.includes(error.code)) {
          this.#lost(socket);
        } else {
          this.#finish(error);
        }
      },
    });
  }

  #opened(answer) {
    const { id, ok, ...gateway } = answer;
    this.gateway = gateway;
    this.#attempts = 0;
    this.#draining = false;
    this.#stopTimers.splice(0).forEach((stop) => stop());
    this.#watch();
    for (const waiting of this.#queue.splice(0)) { /* before anything that a listener may say */
      this.#send(waiting.command, waiting);
    }
    this.#become("open");
    for (const subscription of this.#subscriptions) {
      subscription._establish();
    }
    this.#firstSettle("resolve");
  }

  #firstSettle(how, value) {
    this.#first?.stop?.();
    this.#first?.[how](value);
    this.#first = null;
  }

  /* A connection that has died without a word is noticed by an unanswered ping. */
  #watch() {
    const { pingMs } = this.#options;
    const socket = this.#socket;
    let asked = false;
    if (!(pingMs > 0)) {
      return;
    }
    const watch = setInterval(() => {
      if (this.#heard) {
        asked = false;
      } else if (asked) {
        this.#lost(socket);
      } else {
        asked = true;
        this.#send({ cmd: "ping" }, {});
      }
      this.#heard = false;
    }, pingMs);
    watch.unref?.();
    this.#stopTimers.push(() => clearInterval(watch));
  }

  #socketForget() {
    const socket = this.#socket;
    this.#socket = null;
    this.#stopTimers.splice(0).forEach((stop) => stop());
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      try {
        (socket.terminate ?? socket.close).call(socket); /* ws waits long for a dead peer's answer to close */
      } catch { /* it never opened */ }
    }
  }

  #lost(socket) {
    if (socket !== this.#socket || this.#status === "closed") {
      return;
    }
    if (this.#closing) {
      this.#finish(null);
      return;
    }
    this.#socketForget();
    this._connection++;
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    this.#channels.clear();
    this.#members.clear();
    for (const subscription of this.#subscriptions) {
      subscription._connectionLost();
    }
    this.#become(this.gateway === null ? "connecting" : "resuming");
    this.#queue.unshift(...asked.filter((one) => one.again)); /* questions: asked again */
    for (const one of asked.filter((other) => !other.again)) {
      one.reject?.(one.internal
        ? new WeirError("disconnected", "The connection was lost.")
        : new WeirError("unknown", "The connection was lost before the answer came: it may have been done, or not."));
    }
    if (this.#status !== "closed") { /* a listener may have closed us */
      this.#retry = timer(this.#delay(), () => this.#attempt());
    }
  }

  /* Doubles from try to try; between half of it and all, so that many clients do not come as one. */
  #delay() {
    const { minMs, maxMs } = this.#options.backoff;
    const most = Math.min(maxMs, minMs * 2 ** Math.min(this.#attempts++, 20));
    return most * (0.5 + Math.random() / 2);
  }

  /* ---- Closing ---- */

  /** Ends in order: what was asked is answered, then the gateway says goodbye. Unsent commands fail. */
  async close() {
    if (this.#status === "closed" || this.#closing) {
      return;
    }
    this.#closing = true;
    const open = this.#status === "open";
    for (const waiting of this.#queue.splice(0)) {
      waiting.reject?.(new WeirError("closed", "The connection was closed; this was not sent."));
    }
    if (open) {
      this.#draining = true; /* nothing may follow goodbye */
      await new Promise((resolve) => {
        const stop = timer(GOODBYE_MS_MAX, resolve);
        const done = () => { stop(); resolve(); };
        this.#send({ cmd: "goodbye" }, { internal: true, answered: done, reject: done });
      });
    }
    this.#finish(null);
  }

  /* The end of it all; error: why, null when it was wanted. */
  #finish(error) {
    if (this.#status === "closed") {
      return;
    }
    this.#retry?.();
    this._connection++;
    this.#socketForget();
    const why = error ?? new WeirError("closed", "The connection was closed.");
    const left = [...this.#asked.values()];
    this.#asked.clear();
    this.#channels.clear();
    this.#members.clear();
    this.#become("closed");
    for (const one of left) {
      one.reject?.(one.again || one.internal ? why : new WeirError("unknown",
        "The connection was closed before the answer came: it may have been done, or not."));
    }
    for (const waiting of this.#queue.splice(0)) {
      waiting.reject?.(why);
    }
    for (const subscription of [...this.#subscriptions]) {
      subscription._closed(error);
    }
    if (this.#first !== null) {
      this.#firstSettle("reject", why);
    } else if (error !== null) {
      this._emit("error", error);
    }
  }

  /* ---- Commands and answers ---- */

  #send(command, waiting) {
    const id = ++this.#lastId;
    const text = JSON.stringify({ ...command, id });
    if (this.#tooLarge(text)) {
      waiting.reject?.(new WeirError("too-large", "Send at most " +
        `${this.gateway.limits.packet_bytes_max} bytes in one message (limit packet_bytes_max); nothing was sent.`));
      return;
    }
    waiting.command = command;
    if (waiting.unanswered !== true) {
      this.#asked.set(id, waiting);
    }
    this.#socket.send(text);
  }

  /* The gateway would end the connection. */
  #tooLarge(text) {
    const most = this.gateway?.limits?.packet_bytes_max ?? Infinity;
    return text.length * 3 > most && (text.length > most || encoder.encode(text).length > most);
  }

  /* Says something that is not answered, if there is anybody to say it to. */
  _tell(command) {
    if (this.#status === "open" && this.#socket?.readyState === 1) {
      this.#socket.send(JSON.stringify(command));
    }
  }

  /* Sends a command, or keeps it until there is a connection. how: `now`: the connection on which
   * alone it means something; `again`: a question that may be repeated; `answered`: called with the answer, before
   * anything behind it is looked at; `unanswered`: only a failure is answered. */
  _ask(command, how = {}) {
    return new Promise((resolve, reject) => {
      const waiting = {
        again: how.again === true,
        internal: how.now !== undefined,
        unanswered: how.unanswered === true,
        command,
        answered: (answer) => { how.answered?.(answer); resolve(answer); },
        reject,
      };
      if (this.#status === "closed") {
        reject(new WeirError("closed", "The connection is closed."));
      } else if (this.#sends(how)) {
        if (this.#socket.bufferedAmount > BUFFERED_MAX && !waiting.internal) {
          reject(new WeirError("limit", `More than ${BUFFERED_MAX} bytes wait to be sent: await what was published.`));
          return;
        }
        this.#send(command, waiting);
        if (waiting.unanswered) {
          resolve(null);
        }
      } else if (waiting.internal || this.#options.queueMax === 0) {
        reject(new WeirError("disconnected", "There is no connection now; nothing was sent."));
      } else if (this.#queue.length >= this.#options.queueMax) {
        reject(new WeirError("limit", `${this.#queue.length} commands wait for a connection (queueMax); nothing was sent.`));
      } else {
        this.#queue.push(waiting);
        if (waiting.unanswered) {
          waiting.reject = (error) => this._emit("error", error);
          resolve(null);
        }
      }
    });
  }

  #sends(how) {
    return this.#status === "open" && !this.#draining && this.#socket.readyState === 1 &&
      (how.now ?? this._connection) === this._connection;
  }

  #message(data) {
    this.#heard = true;
    const message = typeof data === "string" ? JSON.parse(data) : null;
    if (message === null) {
      return; /* frames answer frames, and we send none */
    }
    if (message.type !== undefined) {
      this.#unasked(message);
      return;
    }
    const waiting = this.#asked.get(message.id);
    this.#asked.delete(message.id);
    if (waiting !== undefined && (message.error === undefined)) {
      waiting.answered?.(message);
    } else if (waiting !== undefined) {
      waiting.reject?.(errorOf(message.error));
    } else if (message.error !== undefined) {
      this._emit("error", errorOf(message.error)); /* of confirm "none", or the gateway's last word */
    }
  }

  #unasked(message) {
    if (message.type === "drain") {
      this.#draining = true;
      this._emit("drain", message.text);
      return;
    }
    if (message.member !== undefined) {
      this.#members.get(message.member)?._unasked(message);
      return;
    }
    const [subscription, kind] = this.#channels.get(message.subscription) ?? [];
    if (subscription === undefined) {
      return; /* it was closed, and its last records were under way */
    }
    if (message.type === "records") {
      subscription._records(kind, message.records);
    } else {
      subscription._notice(kind, message);
    }
  }

  /* ---- For subscriptions ---- */

  _channelKeep(number, subscription, kind) {
    this.#channels.set(number, [subscription, kind]);
  }

  _channelForget(number) {
    this.#channels.delete(number);
  }

  _memberKeep(number, member) {
    this.#members.set(number, member);
  }

  _memberForget(number) {
    this.#members.delete(number);
  }

  _subscriptionGone(subscription) {
    this.#subscriptions.delete(subscription);
  }

  /* ---- What callers say ---- */

  /** Publishes one record. `target` is a full name (site/dev1/temp), or a topic when `key` is given.
   *  Resolves to {partition, offset, level, live, time} when it has its topic's level; with confirm
   *  "none" to null as soon as it is sent. */
  async publish(target, data, options = {}) {
    const command = { cmd: "publish", ...recordOf(target, data, options) };
    if (options.confirm !== "none") {
      return published(await this._ask(command));
    }
    return this._ask({ ...command, confirm: "none" }, { unanswered: true });
  }

  /** Publishes many with one answer. Each of `records` is {name | key, data, and publish's options};
   *  `topic` holds for those that give no name. Resolves to one result each, in their order: what
   *  publish gives, or a WeirError: the others are stored all the same. */
  async publishMany(topic, records) {
    const command = { cmd: "publish", records: records.map(({ name, data, ...options }) =>
      recordOf(name, data, name === undefined ? options : { ...options, key: undefined })) };
    if (topic !== null && topic !== undefined) {
      command.topic = topic;
    }
    const answer = await this._ask(command);
    return answer.results.map((result) => (result.error !== undefined ? errorOf(result.error) : published(result)));
  }

  /** Records whose name matches the filter, for `for await`. See Subscription. */
  subscribe(filter, options = {}) {
    return this.#begin(new Subscription(this, filter, options), options);
  }

  /** Joins a group, for `for await`. With `model`, `topic` and so on in the options the group is made so
   *  when there is none. See Member. */
  group(name, options = {}) {
    return this.#begin(new Member(this, name, options), options);
  }

  #begin(subscription, options) {
    if (this.#status === "closed") {
      subscription._closed(new WeirError("closed", "The connection is closed."));
    } else if (!options.signal?.aborted) {
      this.#subscriptions.add(subscription);
      if (this.#status === "open") {
        subscription._establish();
      }
    }
    return subscription;
  }

  /** Records of one partition from an offset on: {records, start, end, next}. */
  async fetch(topic, partition = 0, offset = 0, { maxBytes, waitMs, peek } = {}) {
    const command = { cmd: "fetch", topic, partition, offset, peek };
    if (maxBytes !== undefined) {
      command.max_bytes = maxBytes;
    }
    if (waitMs !== undefined) {
      command.wait_ms = waitMs;
    }
    const answer = await this._ask(command, { again: true });
    const { start, end, next } = answer;
    return { records: answer.records.map((record) => new Message({ topic, partition, ...record })), start, end, next };
  }

  /** How far a named producer got: the last publishingId it published to a partition, or null. */
  async lastPublishingId(producer, topic, partition = 0) {
    const command = { cmd: "producer", action: "where", producer, topic, partition };
    return (await this._ask(command, { again: true })).publishing_id;
  }

  /** All declared topics: [{topic, partitions, durability, nested, ...}]. */
  async topics() {
    return (await this._ask({ cmd: "topic", action: "list" }, { again: true })).topics;
  }

  /** The partitions of a topic: [{partition, start, end}]; with `time` also `found`, the first offset at
   *  or after it. */
  async offsets(topic, { time } = {}) {
    const command = { cmd: "topic", action: "offsets", topic };
    if (time !== undefined) {
      command.time = time instanceof Date ? time.getTime() : time;
    }
    return (await this._ask(command, { again: true })).offsets;
  }

  /** Declares a topic; also succeeds when it exists with the same settings. */
  async createTopic(topic, options = {}) {
    optionsCheck(options, Object.keys(TOPIC_WORDS), "createTopic");
    return (await this._ask({ cmd: "topic", action: "create", topic, ...wordsOf(options, TOPIC_WORDS) })).topic;
  }

  /** Changes what `options` names: durability, partitions (only up), cleanup, retentionMs and so on. */
  async alterTopic(topic, options) {
    optionsCheck(options, Object.keys(TOPIC_CHANGES), "alterTopic");
    return (await this._ask({ cmd: "topic", action: "alter", topic, ...wordsOf(options, TOPIC_CHANGES) })).topic;
  }

  /** Removes the records of a partition below `before`; "end": all of them. */
  async trimTopic(topic, before, partition = 0) {
    return (await this._ask({ cmd: "topic", action: "trim", topic, partition, before })).topic;
  }

  async deleteTopic(topic) {
    await this._ask({ cmd: "topic", action: "delete", topic });
  }

  /** Declares a group; also succeeds when it exists and is so. */
  async createGroup(group, options = {}) {
    optionsCheck(options, Object.keys(GROUP_WORDS), "createGroup");
    return (await this._ask({ cmd: "group", action: "create", group, ...wordsOf(options, GROUP_WORDS) })).group;
  }

  /** Changes what `options` names; model and topics never change. */
  async alterGroup(group, options) {
    optionsCheck(options, Object.keys(GROUP_WORDS), "alterGroup");
    return (await this._ask({ cmd: "group", action: "alter", group, ...wordsOf(options, GROUP_WORDS) })).group;
  }

  /** force: with its members. */
  async deleteGroup(group, { force } = {}) {
    await this._ask({ cmd: "group", action: "delete", group, force });
  }

  /** All groups, each with its members, partitions and fates. */
  async groups() {
    return (await this._ask({ cmd: "group", action: "list" }, { again: true })).groups;
  }

  async groupInfo(group) {
    return (await this._ask({ cmd: "group", action: "info", group }, { again: true })).group;
  }

  /** `to`: "beginning", "end", an offset, {time} or {shift}. dryRun: only tells where it would go. */
  async resetGroup(group, to, { topic, partition, dryRun } = {}) {
    return (await this._ask({ cmd: "group", action: "reset", group, to, topic, partition, dry_run: dryRun })).group;
  }

  /**
   * What became of one record: `lines` (oldest first), how it stands in each of its `groups`, the `record`
   * itself ({stored, key, bytes, headers}; null: it is gone). What happened before `from` is not kept; of
   * more lines than are told, `leftOut` older ones are counted.
   */
  async why(topic, partition, offset, { group } = {}) {
    const told = await this._ask({ cmd: "why", topic, partition, offset, group }, { again: true });
    return {
      lines: told.lines, groups: told.groups, record: told.record, from: told.from, leftOut: told.left_out,
      damaged: told.damaged === true,
    };
  }

  /** `what`: "stats", "limits", "topics" or "health". */
  async query(what) {
    return (await this._ask({ cmd: "query", what }, { again: true }))[what];
  }

  /** Milliseconds to the gateway and back. */
  async ping() {
    const began = performance.now();
    await this._ask({ cmd: "ping" }, { again: true });
    return performance.now() - began;
  }
}

/** Connects to a gateway; in a page without `url` to the one that served it. Resolves to a Weir once the
 *  gateway has said hello; rejects when it refuses, when `signal` is aborted, or after `connectMs`. */
export async function connect(url, options = {}) {
  return new Weir(url, options)._start();
}

export default connect;
