/* tests/interop/browser.mjs - a headless Chromium for tests of pages; without one they count as skipped. */
import { existsSync } from "node:fs";
import { folderMake } from "./gateway.mjs";

const CHROMIUM = process.env.WEIR_CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

function skip(why) {
  console.log(`SKIPPED, the page was NOT tested: ${why}`);
  process.exit(77);
}

const { chromium } = await import("playwright-core").catch(() =>
  skip("the package playwright-core is not here; `npm ci` in tests/interop brings it"));
if (!existsSync(CHROMIUM)) {
  skip(`there is no ${CHROMIUM}; the package chromium brings it`);
}

/** A browser with a profile of its own; close() ends it. */
export async function browserStart(options = {}) {
  return chromium.launchPersistentContext(await folderMake(), { executablePath: CHROMIUM, args: FLAGS, ...options });
}
