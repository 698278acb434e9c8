/* tests/interop/recording_subscriber.mjs - weir.js tells every record of a filter as it comes, in Node or in
 * headless Chromium, through any number of lost connections.
 *
 *     node recording_subscriber.mjs HTTP_PORT FILTER node|chromium
 *
 * On standard output one line for each record: partition, offset, full name, value, as `weir sub
 * -F '%p %o %n %s'` does; "# connected" at each connection, and "# gap {..}" where weir.js tells one. Ends
 * when standard input does. Exit code 77, with a sentence, when something it needs is not installed. */
import { existsSync } from "node:fs";

const SKIPPED = 77;
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];

/* Runs in Node and, as text, in a page: it uses nothing from outside. `tell` gets lines, many at a time. */
async function follow(connect, url, filter, options, tell) {
  const lines = [];
  const flush = () => { tell(lines.join("\n")); lines.length = 0; };
  const w = await connect(url, { backoff: { minMs: 5, maxMs: 50 }, ...options });
  const subscription = w.subscribe(filter);
  w.on("status", (status) => status === "open" && lines.push("# connected"));
  subscription.on("gap", (gap) => lines.push(`# gap ${JSON.stringify(gap)}`));
  await subscription.ready;
  lines.push("# connected");
  flush();
  setInterval(() => lines.length > 0 && flush(), 20);
  for await (const m of subscription) {
    lines.push(`${m.partition} ${m.offset} ${m.name} ${m.text()}`);
  }
}

function skip(why) {
  console.error(`SKIPPED: ${why}`);
  process.exit(SKIPPED);
}

function tell(lines) {
  process.stdout.write(`${lines}\n`);
}

async function inNode(port, filter) {
  const { default: WebSocket } = await import("ws").catch(() =>
    skip("the package ws is not here; `npm ci` in tests/interop brings it"));
  const { connect } = await import("../../clients/javascript/weir.js");
  process.stdin.resume().on("end", () => process.exit(0));
  await follow(connect, `ws://127.0.0.1:${port}/v1`, filter, { WebSocket }, tell);
}

async function inChromium(port, filter) {
  const { chromium } = await import("playwright-core").catch(() =>
    skip("the package playwright-core is not here; `npm ci` in tests/interop brings it"));
  const executablePath = CHROMIUM.find(existsSync) ?? skip("chromium is not installed (package chromium)");
  const browser = await chromium.launch({ executablePath, headless: true });
  let ending = false;
  process.stdin.resume().on("end", () => {
    ending = true;
    browser.close().finally(() => process.exit(0));
  });
  const page = await browser.newPage();
  page.on("pageerror", (error) => { console.error(`in the page: ${error}`); process.exit(1); });
  await page.exposeFunction("weirTell", tell);
  await page.goto(`http://127.0.0.1:${port}/weir.js`); /* of the gateway's origin, and nothing else in it */
  console.error(`chromium ${browser.version()}`);
  await page.evaluate(`import("/weir.js").then(({ connect }) =>
    (${follow})(connect, "/v1", ${JSON.stringify(filter)}, {}, weirTell))`).catch((error) => {
    if (!ending) {
      throw error;
    }
  });
}

const [port, filter, where] = process.argv.slice(2);
await (where === "chromium" ? inChromium : inNode)(port, filter);
