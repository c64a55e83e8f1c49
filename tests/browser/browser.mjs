// Drives one page of Chromium for a test: each line of stdin is a script, each line of stdout its outcome.
//
// A script is the body of an asynchronous function of `page`, `context` and `axe`, which lists what axe-core finds.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const PATIENCE = 60_000;

const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox", "--disable-gpu"] });
// Certificates of tests sign themselves.
const options = { bypassCSP: false, ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 } };
const context = await browser.newContext(options);
context.setDefaultTimeout(PATIENCE);
const page = await context.newPage();

// What the page says is wrong: errors of its script, and what its policy forbids.
const complaints = [];
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));

// In a world of its own, since the policy of the page admits no other script.
async function axe() {
  const session = await context.newCDPSession(page);
  const { readFile } = await import("node:fs/promises");
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const run = async (expression) => {
    const done = await session.send("Runtime.evaluate", {
      expression, contextId: executionContextId, awaitPromise: true, returnByValue: true,
    });
    if (done.exceptionDetails) throw new Error(JSON.stringify(done.exceptionDetails));
    return done.result.value;
  };
  await run(await readFile(AXE, "utf8"));
  const found = await run(`axe.run(document).then(({ violations, passes }) => ({
    passes: passes.length,
    violations: violations.flatMap(({ id, help, nodes }) => nodes.map(({ html }) => id + ": " + help + " " + html)),
  }))`);
  await session.detach();
  return found;
}

const AsyncFunction = (async () => {}).constructor;
for await (const line of createInterface({ input: process.stdin })) {
  let outcome;
  try {
    const script = new AsyncFunction("page", "context", "axe", "complaints", JSON.parse(line));
    outcome = { value: (await script(page, context, axe, complaints)) ?? null };
  } catch (error) {
    outcome = { error: String(error), complaints };
  }
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}
await browser.close();
