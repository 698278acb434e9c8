/* tests/interop/javascript_page_test.mjs - the examples of docs/javascript.md, run in their order; and the types
 * of weir.d.ts name what weir.js has. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { inspect } from "node:util";
import { Gateway, within } from "./gateway.mjs";

const { default: WebSocket } = await import("ws").catch(() => {
  console.log("SKIPPED: the package ws is not here; `npm ci` in tests/interop brings it");
  process.exit(77);
});
const client = new URL("../../clients/javascript/", import.meta.url);
const { connect } = await import(new URL("weir.js", client));

let gateway = null;
before(async () => { gateway = await Gateway.start(); });
after(() => gateway?.gone());

const shown = (value) => (typeof value === "string" ? value : inspect(value));

test("the page's examples run and print what they say", async () => {
  const page = await readFile(new URL("../../docs/javascript.md", import.meta.url), "utf8");
  const examples = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map((found) => found[1]);
  assert.ok(examples.length > 7);
  const here = (url, options) => connect(url, { WebSocket, ...options });
  const weir = await here(gateway.url);
  const printed = [];
  const tell = { log: (...values) => printed.push(values.map(shown).join(" ")) };
  const all = examples.join("\n");
  const AsyncFunction = (async () => {}).constructor;
  const run = new AsyncFunction("weir", "connect", "url", "console", all);
  await within("the examples", run(weir, here, gateway.url, tell));
  const promised = [...all.matchAll(/\/\/ prints (.*)$/gm)].map((found) => found[1]);
  assert.deepEqual(printed, promised);
  await weir.close();
});

test("the types name every member of the classes", async () => {
  const types = await readFile(new URL("weir.d.ts", client), "utf8");
  const weir = await connect(gateway.url, { WebSocket });
  const subscription = weir.subscribe("a/#", { from: "end" });
  await subscription.ready;
  await weir.publish("a/b", "x");
  const { value: message } = await within("a message", subscription.next());
  const hidden = new Set(["constructor"]);
  for (const object of [weir, subscription, message]) {
    const members = [...Object.keys(object)];
    for (let made = Object.getPrototypeOf(object); made !== Object.prototype; made = Object.getPrototypeOf(made)) {
      members.push(...Object.getOwnPropertyNames(made));
    }
    for (const member of members.filter((name) => !name.startsWith("_") && !hidden.has(name))) {
      assert.ok(["next", "return"].includes(member) || new RegExp(`\\b${member}\\b[(?:]`).test(types), member);
    }
  }
  await weir.close();
});
