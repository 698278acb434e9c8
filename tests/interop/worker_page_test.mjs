/* tests/interop/worker_page_test.mjs - the worker of docs/javascript.md, in two tabs of a headless Chromium. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { browserStart } from "./browser.mjs";
import { Gateway, until } from "./gateway.mjs";

const LEASE_MS = 2000; /* a page that is kept waiting for less still renews in time */
const SLOW_JOB_MS = 2.5 * LEASE_MS; /* a job outlives two leases */
const JOBS = 12;

let gateway = null;
let browser = null;
before(async () => {
  gateway = await Gateway.start();
  browser = await browserStart();
});
after(async () => {
  await browser?.close();
  await gateway?.gone();
});

async function example() {
  const page = await readFile(new URL("../../docs/javascript.md", import.meta.url), "utf8");
  return page.match(/^```js worker\n(.*?)^```$/ms)[1];
}

/* A tab of the gateway's page that runs the worker. A job is done when `stuck` is not what it says, and
 * what the tab did is in its `done`. */
async function tabOpen(t, stuck) {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(gateway.page);
  await page.locator("#status[data-status=open]").waitFor();
  await page.evaluate(([code, stuckAt, slowMs]) => {
    globalThis.done = [];
    globalThis.begun = [];
    globalThis.work = async (job) => {
      globalThis.begun.push(job.text());
      if (job.text() === stuckAt) {
        await new Promise(() => {});
      }
      if (job.text().startsWith("slow")) {
        await new Promise((resolve) => setTimeout(resolve, slowMs));
      }
      if (job.text() === "bad" && job.failed === 0) {
        throw new Error("not at the first try");
      }
      globalThis.done.push(`${job.text()} ${job.leased} ${job.failed}`);
    };
    new (async () => {}).constructor(code)();
  }, [await example(), stuck, SLOW_JOB_MS]);
  return page;
}

const doneIn = (page) => page.evaluate(() => globalThis.done);
const fates = async () => JSON.parse(await gateway.weir("group", "info", "workers", "--json")).fates;

test("two tabs share the jobs, each done once, and what a closed tab held goes to the other", async (t) => {
  await gateway.weir("topic", "create", "jobs");
  await gateway.weir("group", "create", "workers", "--topic", "jobs", "--model", "queue", "--lease-ms", String(LEASE_MS));
  const first = await tabOpen(t, "stuck");
  await until("the first tab to be a member", async () =>
    JSON.parse(await gateway.weir("group", "info", "workers", "--json")).members.length === 1);
  await gateway.weir("pub", "jobs", "-m", "stuck");
  await until("the first tab to work on it", async () => (await first.evaluate(() => globalThis.begun)).includes("stuck"));

  const second = await tabOpen(t, "");
  for (const job of ["slow", "bad", ...Array.from({ length: JOBS }, (u, i) => `job ${i}`)]) {
    await gateway.weir("pub", "jobs", "-m", job);
  }
  await until("all but one", async () => (await fates()).accepted === JOBS + 2);
  assert.equal((await fates()).pending, 1, "the first tab renews what it holds");
  const done = await doneIn(second);
  assert.ok(done.includes("slow 1 0"), `a job longer than its lease was given out once: ${done}`);
  assert.ok(done.includes("bad 2 1"), `a job that failed came again: ${done}`);
  assert.deepEqual(await doneIn(first), []);

  await first.close();
  await until("the closed tab's job", async () => (await fates()).accepted === JOBS + 3);
  assert.equal((await doneIn(second)).at(-1).split(" ")[0], "stuck");
  assert.equal((await fates()).pending, 0);
});
