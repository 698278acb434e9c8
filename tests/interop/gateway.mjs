/* tests/interop/gateway.mjs - a gateway in a folder of its own, for tests of Node clients and pages.
 *
 *     const gateway = await Gateway.start();      a temporary folder, ports from the system
 *     gateway.url                                 ws://127.0.0.1:PORT/v1
 *     await gateway.kill(); await gateway.start() as kill -9, and again on the same data and port
 *     await gateway.gone()                        ended, folder removed
 *
 * Every wait has a deadline, which the environment's WEIR_SLOW multiplies. WEIR_BIN names the program. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const SLOW = Number(process.env.WEIR_SLOW ?? 1);
export const DEADLINE_MS = 60000 * Math.min(SLOW, 2);
const BIN = process.env.WEIR_BIN ?? "weir";
const SANITIZER = /ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|[Aa]ssertion/;

const running = new Set();
const folders = new Set();
process.on("exit", () => { /* however the test ends, nothing stays behind */
  running.forEach((child) => child.kill("SIGKILL"));
  folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => process.exit(1));
}

/** What the promise gives, unless the deadline comes first. */
export function within(what, promise, milliseconds = DEADLINE_MS) {
  let stop;
  const late = new Promise((resolve, reject) => {
    stop = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(stop));
}

/** The first true value of condition(). */
export async function until(what, condition, milliseconds = DEADLINE_MS) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    if (Date.now() > end) {
      throw new Error(`waited in vain: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export async function folderMake() {
  const folder = await mkdtemp(join(tmpdir(), "weir-web-"));
  folders.add(folder);
  return folder;
}

/** A child whose output is collected and which does not outlive us. */
export function spawned(command, ...words) {
  const child = spawn(command, words, { stdio: ["pipe", "pipe", "pipe"] });
  child.text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => { child.text += data; });
  }
  running.add(child);
  child.ended = new Promise((resolve) => {
    child.on("close", (code) => { running.delete(child); resolve(code); });
    child.on("error", (error) => { child.text += error.message; running.delete(child); resolve(-1); });
  });
  return child;
}

export class Gateway {
  #settings;
  #child = null;

  static async start(...settings) {
    const gateway = new Gateway();
    gateway.#settings = settings;
    gateway.folder = await folderMake();
    gateway.port = 0;
    await gateway.start();
    return gateway;
  }

  async start() {
    const ports = join(this.folder, "ports");
    await rm(ports, { force: true }); /* a killed gateway's */
    const set = ["mqtt.port=0", "nng.enabled=false", `http.port=${this.port}`, ...this.#settings];
    this.#child = spawned(BIN, "serve", "--data", join(this.folder, "data"), "--ports", ports,
      ...set.flatMap((setting) => ["--set", setting]));
    const child = this.#child;
    await until("the gateway's readiness", () => {
      if (child.exitCode !== null || !running.has(child)) {
        throw new Error(`the gateway did not start: ${child.text}`);
      }
      return child.text.includes(" ready:");
    });
    const lines = (await readFile(ports, "utf8")).split("\n");
    const at = (name) => Number(lines.find((line) => line.startsWith(`${name} `)).split(":").pop());
    this.port = at("http");
    this.mqttPort = at("mqtt");
    this.url = `ws://127.0.0.1:${this.port}/v1`;
    this.page = `http://127.0.0.1:${this.port}/`;
  }

  async kill() {
    this.#child.kill("SIGKILL");
    await within("the end of a killed gateway", this.#child.ended);
  }

  async stop() {
    this.#child.kill("SIGTERM");
    const code = await within("the gateway's orderly end", this.#child.ended);
    if (code !== 0 || SANITIZER.test(this.#child.text)) {
      throw new Error(`the gateway ended with ${code}: ${this.#child.text}`);
    }
  }

  async weir(...words) {
    const child = spawned(BIN, ...words, "--data", join(this.folder, "data"));
    child.stdin.end();
    const code = await within(`weir ${words.join(" ")}`, child.ended);
    if (code !== 0) {
      throw new Error(`weir ${words.join(" ")}: exit ${code}: ${child.text}`);
    }
    return child.text;
  }

  async gone() {
    if (running.has(this.#child)) {
      await this.stop();
    }
    await rm(this.folder, { recursive: true, force: true });
    folders.delete(this.folder);
  }
}
