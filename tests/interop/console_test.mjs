/* tests/interop/console_test.mjs - the page that the gateway serves, in a headless Chromium.
 *
 * WEIR_SHOT=FILE keeps a picture of the page with a small fleet: that is how docs/console.png is made. */
import assert from "node:assert/strict";
import { cpus, loadavg } from "node:os";
import { after, before, test } from "node:test";
import { groupCommandsOf } from "../../console/groups.js";
import { browserStart } from "./browser.mjs";
import { Gateway, SLOW, folderMake, spawned, until, within } from "./gateway.mjs";

const RATE = 50000 / SLOW; /* records a second */
const NAMES = 500;
const STEP_MS = 20;
const MEASURED_MS = 4000;
const TRIES = 4; /* windows, until one has seen the whole rate */
const GAP_MS_MAX = 500; /* between two frames; a person calls that a hitch */
const AHEAD_BYTES_MAX = 1 << 20; /* that the publisher has not read */

let gateway = null;
let browser = null;
before(async () => {
  gateway = await Gateway.start();
  browser = await browserStart({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" });
});
after(async () => {
  await browser?.close();
  await gateway?.gone();
});

/* A page, with everything that must not happen in it. */
async function pageOpen(t, hash = "") {
  const page = await browser.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => new URL(request.url()).hostname !== "127.0.0.1" && complaints.push(request.url()));
  page.on("response", (response) => response.status() >= 400 && complaints.push(`${response.status()} ${response.url()}`));
  t.after(() => page.close());
  await page.goto(gateway.page + hash);
  await page.locator("#status[data-status=open]").waitFor();
  return { page, complaints };
}

/* A fleet of `devices`, until the test ends. */
function fleet(t, devices, interval) {
  const demo = spawned(process.env.WEIR_BIN, "demo", "--devices", String(devices), "--interval", String(interval),
    "--data", `${gateway.folder}/data`);
  t.after(async () => { demo.kill("SIGTERM"); await demo.ended; });
}

const picture = (page, id) => page.evaluate((canvas) => document.getElementById(canvas).toDataURL(), id);
const numberIn = async (page, id) => Number((await page.locator(`#${id}`).textContent()).replaceAll(",", ""));

test("dead letters of every group have their command on the page, not of queues alone", () => {
  const group = (fates, more) => ({ group: "mail", model: "queue", topics: ["orders"], fates: { "dead-lettered": fates }, ...more });
  assert.deepEqual(groupCommandsOf(group(2), String), ["weir group info mail", "weir group dead ls mail"]);
  assert.deepEqual(groupCommandsOf(group(0), String), ["weir group info mail", "weir group join mail"]);
  assert.deepEqual(groupCommandsOf(group(1, { topics: ["mail"] }), String), ["weir queue info mail", "weir queue dead ls mail"]);
});

test("records are shown as they arrive, and both charts move", async (t) => {
  fleet(t, 12, 100);
  const { page, complaints } = await pageOpen(t);
  const row = page.locator(".table .row:visible", { hasText: "site/device-01/telemetry" });
  await row.waitFor();
  const value = await row.locator(".value").textContent();
  await until("another value", async () => await row.locator(".value").textContent() !== value);
  for (const chart of ["values-chart", "rate-chart"]) {
    await until(`${chart} shows something`, () => page.evaluate((id) => globalThis.Chart.getChart(id).data.datasets.some(
      (line) => line.data.length > 2), chart));
    const before = await picture(page, chart);
    await until(`${chart} to move`, async () => await picture(page, chart) !== before);
  }
  await until("the rate", async () => await numberIn(page, "rate") > 30);
  assert.equal(await page.locator("#topics .topic").textContent(), "site");
  if (process.env.WEIR_SHOT) {
    await page.setViewportSize({ width: 1240, height: 780 });
    await page.waitForTimeout(62000);
    await row.locator(".name").click();
    await page.screenshot({ path: process.env.WEIR_SHOT });
  }
  assert.deepEqual(complaints, []);
});

test("a filter, a list, a pause and a record's details do what they say", async (t) => {
  await gateway.weir("topic", "create", "hall");
  await gateway.weir("pub", "hall/door", "-m", "open", "-H", "who=me");
  await gateway.weir("pub", "hall/lamp", "-m", "7");
  await gateway.weir("pub", "hall/blob", "-n");
  const { page, complaints } = await pageOpen(t, "#filter=hall%2F%23&view=list&from=beginning");
  const names = page.locator(".table .row:visible .name");
  await until("three records", async () => await names.count() === 3);
  assert.deepEqual(await names.allTextContents(), ["hall/blob", "hall/lamp", "hall/door"]);
  assert.equal(await page.locator("#tail-command").textContent(), "weir sub 'hall/#' --from beginning -F '%T %n %s'");
  await page.click("#pause");
  await gateway.weir("pub", "hall/door", "-m", "shut");
  await until("what has arrived", async () => (await page.locator("#foot").textContent()).includes("1 more"));
  assert.equal(await names.count(), 3);
  await page.click("#pause");
  await until("the fourth record", async () => await names.count() === 4);
  await page.locator(".table .row:visible", { hasText: "open" }).click();
  assert.match(await page.locator("#detail-members").textContent(), /topichall.*keydoor.*offset0.*whome/);
  assert.equal(await page.locator("#detail-command").textContent(), "weir sub hall/door --from 0 -C 1 -o json");
  await page.fill("#filter", "hall/+/none");
  await page.press("#filter", "Enter");
  await until("an empty list", async () => await names.count() === 0);
  await page.fill("#filter", "hall/#/wrong");
  await page.press("#filter", "Enter");
  await page.locator("#filter[aria-invalid=true]").waitFor();
  assert.equal(await page.locator("#filter-error").textContent(),
    "No filter: hall/#/wrong. # may stand only at the end: hall/# is one.");
  assert.equal(await page.locator("#table-hint").isVisible(), false);
  await page.fill("#filter", "hall/#");
  await page.press("#filter", "Enter");
  await until("the records again", async () => await names.count() === 4);
  assert.equal(await page.locator("#filter-error").isVisible(), false);
  assert.deepEqual(complaints, []);
});

test("history counts for no rate and is drawn where it was", async (t) => {
  await gateway.weir("topic", "create", "attic");
  for (let n = 0; n < 12; n++) {
    await gateway.weir("pub", "attic/lamp", "-m", String(20 + n / 10));
  }
  const written = Date.now();
  await until("it to be history", () => Date.now() - written > 2500);
  const { page, complaints } = await pageOpen(t, "#filter=attic%2F%23&from=beginning");
  const line = () => page.evaluate(() => globalThis.Chart.getChart("values-chart").data.datasets[0]?.data.at(-1)?.x);
  await until("its point", async () => await line() !== undefined);
  const ago = (written - Date.now()) / 1000;
  assert.ok(Math.abs(await line() - ago) < 2, `drawn at ${await line()} s, written ${ago} s ago`);
  await until("two ticks", () => page.evaluate(() => globalThis.Chart.getChart("rate-chart").data.datasets[0]?.data.length > 2));
  assert.equal(await numberIn(page, "total"), 12);
  assert.deepEqual(await page.evaluate(() => globalThis.Chart.getChart("rate-chart").data.datasets[0].data.filter(({ y }) => y > 0)), []);
  await gateway.weir("pub", "attic/lamp", "-m", "30");
  await until("a rate", () => page.evaluate(() => globalThis.Chart.getChart("rate-chart").data.datasets[0].data.some(({ y }) => y > 0)));
  await until("the new point", async () => await line() > ago + 1);
  const labels = await page.evaluate(() => globalThis.Chart.getChart("values-chart").scales.y.ticks.map(({ label }) => label));
  assert.equal(new Set(labels).size, labels.length, `labels repeat: ${labels}`);
  assert.deepEqual(complaints, []);
});

test("what the page publishes arrives, and what is refused is said", async (t) => {
  const { page, complaints } = await pageOpen(t, "#filter=yard%2F%23&from=end");
  await page.fill("#publish-name", "yard/gate");
  await page.fill("#publish-value", "it's <b>shut</b>");
  assert.equal(await page.locator("#publish-command").textContent(), "weir pub yard/gate -m 'it'\\''s <b>shut</b>'");
  await page.click("#publish button");
  await until("the value", async () => await page.locator(".table .row:visible .value").count() === 1 &&
    await page.locator(".table .row:visible .value").textContent() === "it's <b>shut</b>");
  assert.equal(await page.locator("#publish-answer").textContent(), "live: not kept");
  await page.fill("#publish-name", "yard/+");
  await page.click("#publish button");
  await page.locator("#publish-answer.bad").waitFor();
  assert.deepEqual(complaints, []);
});

test("a person can use the connection from the developer console", async (t) => {
  const { page, complaints } = await pageOpen(t);
  const said = await page.evaluate(async () => {
    const loop = weir.subscribe("console/#");
    await loop.ready;
    await weir.publish("console/x", { celsius: 21.5 });
    for await (const m of loop) {
      return [m.name, m.json().celsius];
    }
  });
  assert.deepEqual(said, ["console/x", 21.5]);
  assert.deepEqual(complaints, []);
});

test("a gateway killed and started again: the page goes on by itself", async (t) => {
  await gateway.weir("topic", "create", "kept");
  const { page } = await pageOpen(t, "#filter=kept%2F%23&view=list&from=end"); /* the browser logs the failed attempts */
  await page.evaluate(() => weir.ping());
  await gateway.weir("pub", "kept/a", "-m", "before");
  const values = page.locator(".table .row:visible .value");
  await until("the first record", async () => await values.count() === 1);
  await gateway.kill();
  await page.locator("#status[data-status=resuming]").waitFor();
  await gateway.start();
  await gateway.weir("pub", "kept/b", "-m", "after");
  await page.locator("#status[data-status=open]").waitFor();
  await until("the second record", async () => await values.count() === 2);
  assert.deepEqual(await values.allTextContents(), ["after", "before"]);
});

test("in Chromium as in Node, kills lose and repeat nothing of a topic", async (t) => {
  const { page } = await pageOpen(t, "#filter=nothing%2Fhere");
  await page.evaluate(async () => {
    await weir.createTopic("killed", { partitions: 3 });
    globalThis.acknowledged = new Set();
    globalThis.seen = [];
    globalThis.unknown = 0;
    const own = weir.subscribe("killed/#");
    await own.ready;
    (async () => {
      for await (const m of own) {
        seen.push(`${m.partition}/${m.offset}`);
      }
    })();
    globalThis.publish = true;
    ["a", "b", "c"].forEach(async (name) => {
      for (let n = 0; publish; n++) {
        await weir.publish(`killed/${name}`, String(n)).then((answer) => acknowledged.add(`${answer.partition}/${answer.offset}`),
          () => { unknown++; });
      }
    });
  });
  const count = () => page.evaluate(() => acknowledged.size);
  for (let round = 1; round <= 3; round++) {
    const enough = await count() + 50;
    await until("fifty more acknowledged", async () => await count() >= enough);
    await gateway.kill();
    await gateway.start();
  }
  const enough = await count() + 50;
  await until("fifty more", async () => await count() >= enough);
  await page.evaluate(() => { publish = false; });
  await until("all acknowledged", () => page.evaluate(() => [...acknowledged].every((one) => seen.includes(one))));
  const seen = await page.evaluate(() => seen);
  assert.equal(new Set(seen).size, seen.length, "nothing twice");
  console.log(`# ${await count()} acknowledged, ${seen.length} seen, 3 kills`);
});

/* By how much others slow this machine down. */
const busy = () => SLOW * Math.max(1, loadavg()[0] / cpus().length);

/* Publishes RATE records a second of NAMES names until stopped, or what the machine can if it is busy. */
async function flood(topic) {
  await gateway.weir("topic", "create", topic, "--durability", "os");
  const publisher = spawned(process.env.WEIR_BIN, "pub", topic, "-l", "-K", "=", "--quiet",
    "--data", `${gateway.folder}/data`);
  publisher.stdin.on("error", () => {}); /* it has ended: its text says why */
  let last = performance.now();
  let sent = 0;
  const feed = setInterval(() => {
    const now = performance.now();
    const due = publisher.stdin.writableLength > AHEAD_BYTES_MAX ? 0 : Math.floor((now - last) / 1000 * RATE);
    let lines = "";
    last = now;
    for (const end = sent + due; sent < end; sent++) {
      lines += `device-${sent % NAMES}/temp={"temp":${(20 + Math.sin(sent / 90000) * 5).toFixed(3)},"n":${sent}}\n`;
    }
    publisher.stdin.write(lines);
  }, STEP_MS);
  return {
    sent: () => sent,
    stop: async () => {
      clearInterval(feed);
      publisher.stdin.end();
      const code = await within("the publisher's end", publisher.ended, 60000 * SLOW);
      assert.equal(code, 0, publisher.text);
    },
  };
}

/* Frames and clicks while the flood runs. */
async function watch(page, publisher) {
  const before = publisher.sent();
  const began = performance.now();
  const seen = await page.evaluate((milliseconds) => new Promise((resolve) => {
    const began = performance.now();
    const total = () => Number(document.getElementById("total").textContent.replaceAll(",", ""));
    const totalBefore = total();
    let last = began, gap = 0, frames = 0;
    const frame = (now) => {
      gap = Math.max(gap, now - last);
      last = now;
      frames++;
      if (now - began < milliseconds) {
        requestAnimationFrame(frame);
      } else {
        const seconds = (now - began) / 1000;
        resolve({ gap, perSecond: frames / seconds, records: (total() - totalBefore) / seconds });
      }
    };
    requestAnimationFrame(frame);
  }), MEASURED_MS);
  return { ...seen, offered: (publisher.sent() - before) / (performance.now() - began) * 1000 };
}

for (const filter of ["flood/#", "#"]) {
  test(`${RATE} records a second, filter ${filter}: the latest values stay in the hand`, async (t) => {
    const topic = "flood";
    const { page, complaints } = await pageOpen(t, `#filter=${encodeURIComponent(filter)}&from=end`);
    await page.evaluate(() => weir.ping());
    const publisher = await flood(topic);
    await until("the flood", async () => await numberIn(page, "rate") > RATE / 10);
    let seen = await watch(page, publisher);
    for (let left = TRIES - 1; left > 0 && seen.records < RATE * .9; left--) {
      seen = await watch(page, publisher);
    }
    const { gap, perSecond, records, offered } = seen;
    const gapMost = GAP_MS_MAX * busy();
    const clicked = Date.now();
    await page.click("#theme");
    const reaction = Date.now() - clicked;
    await publisher.stop();
    if (offered < RATE * .9) {
      console.log(`# THE MACHINE IS BUSY: only ${Math.round(offered)} records/s could be offered, not ${RATE}`);
    }
    console.log(`# filter ${filter}: ${Math.round(records)} records/s shown as latest values of ${NAMES} names, ` +
      `${perSecond.toFixed(1)} frames/s, longest frame gap ${gap.toFixed(0)} ms, a click took ${reaction} ms`);
    await until("the last record", async () =>
      await numberIn(page, "total") >= publisher.sent(), 60000 * SLOW);
    assert.ok(gap < gapMost, `a frame came ${gap} ms after the one before`);
    assert.ok(records > Math.min(RATE, offered) * .8, `only ${records} of ${offered} records a second arrived`);
    assert.deepEqual(complaints, []);
    await gateway.weir("topic", "rm", topic);
  });
}

test("groups and queues are shown: members, lag, what became of their records, and dead letters", async (t) => {
  await gateway.weir("topic", "create", "orders", "--partitions", "2");
  await gateway.weir("topic", "create", "jobs-dead");
  await gateway.weir("queue", "create", "jobs", "--dead-letter", "jobs-dead", "--delivery-limit", "1");
  await gateway.weir("group", "create", "billing", "--topic", "orders");
  for (const [topic, value] of [["orders", "a"], ["orders", "b"], ["jobs", "1"], ["jobs", "2"], ["jobs", "3"]]) {
    await gateway.weir("pub", topic, "-m", value);
  }
  await gateway.weir("group", "join", "jobs", "-C", "1", "-x", "exit 3"); /* a dead letter */
  await gateway.weir("group", "join", "jobs", "-C", "1");
  for (const name of ["ann", "bob", "cid"]) { /* of whom one is idle */
    const member = spawned(process.env.WEIR_BIN, "group", "join", "billing", "--name", name, "--data", `${gateway.folder}/data`);
    t.after(async () => { member.kill("SIGTERM"); await member.ended; });
  }
  const { page, complaints } = await pageOpen(t, "#view=groups");
  const row = (group) => page.locator(".table .row:visible", { has: page.locator(".name", { hasText: new RegExp(`^${group}$`) }) });
  const cells = async (group) => row(group).locator("> *").allTextContents();
  await row("jobs").waitFor();
  const expected = ["jobs", "queue · at-least-once", "0", "1", "0", "1", "", "1 · 0"]; /* without the lag's age, which moves */
  await until(`the row ${expected}`, async () =>
    (await cells("jobs")).filter((text, at) => at !== 4).join() === expected.join());
  assert.equal(await row("jobs").locator(".fates").getAttribute("title"), "1 accepted, 1 pending, 1 dead-lettered");
  await until("its bar", async () => /linear-gradient/.test( /* a row that is being replaced has no style */
    await row("jobs").locator(".fates").evaluate((bar) => getComputedStyle(bar).backgroundImage)));
  await until("three members, one idle", async () => (await cells("billing"))[2] === "3 (1 idle)");
  await until("no lag", async () => (await cells("billing"))[3] === "0");
  await gateway.weir("pub", "jobs", "-m", "4");
  await until("more lag, without a reload", async () => (await cells("jobs"))[3] === "2");

  await row("billing").locator(".name").click();
  await until("the members", async () => {
    const text = await page.locator("#detail-value").textContent();
    return ["ann", "bob", "cid"].every((name) => text.includes(name));
  });
  assert.match(await page.locator("#detail-value").textContent(), /idle/);
  assert.equal(await page.locator("#detail-command").textContent(), "weir group info billing");
  await row("jobs").locator(".name").click();
  assert.equal(await page.locator("#detail-title").textContent(), "Queue group");
  assert.equal(await page.locator("#detail-more").textContent(), "weir queue dead ls jobs");
  assert.match(await page.locator("#detail-members").textContent(), /dead letters go tojobs-dead.*delivery limit1.*times failed1/);
  if (process.env.WEIR_GROUPS_SHOT) {
    await page.screenshot({ path: `${process.env.WEIR_GROUPS_SHOT}-dark.png` });
    await page.locator("#theme").click();
    await page.screenshot({ path: `${process.env.WEIR_GROUPS_SHOT}-light.png` });
    await page.locator("#theme").click();
  }
  await page.locator("input[name=view][value=latest]").check({ force: true });
  assert.equal(await page.locator("#columns").textContent().then((text) => text.startsWith("Name")), true);
  assert.deepEqual(complaints, []);
});
