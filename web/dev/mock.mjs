// A stand-in for a pool while pages are made: invented data, no rules, no money. Serves web/dist with the policy that the real
// servers use, so that what the policy forbids shows here too. `npm run build && npm run mock`, then http://127.0.0.1:8090.
// Never part of what is shipped.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import * as data from "./data.mjs";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", svg: "image/svg+xml", json: "application/json", wasm: "application/wasm" };
const anonymous = process.env.ANONYMOUS === "1";

function json(response, status, body, headers = {}) {
  response.writeHead(status, { "content-type": status >= 400 ? "application/problem+json" : "application/json", ...headers });
  response.end(JSON.stringify(body));
}
const problem = (response, status, code, detail, field) => json(response, status, { type: `https://hivemind.invalid/errors/${code}`, title: detail, status, detail, code, field });

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

function stream(request, response, start) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  let id = 0;
  const send = (event, value) => response.write(`id: ${(id += 1)}\nevent: ${event}\ndata: ${JSON.stringify(value)}\n\n`);
  const end = start(send);
  request.on("close", end);
}

let signedIn = !anonymous;

const routes = [
  ["GET", /^\/auth\/me$/, (_q, r) => (signedIn ? json(r, 200, data.me) : problem(r, 401, "E_UNAUTHENTICATED", "Nobody is signed in."))],
  ["POST", /^\/auth\/login$/, async (q, r) => {
    const { password } = JSON.parse(await body(q));
    if (password === "wrong") return problem(r, 401, "E_UNAUTHENTICATED", "The user name or the password is wrong.");
    signedIn = true;
    return json(r, 200, data.me);
  }],
  ["POST", /^\/auth\/register$/, async (q, r) => {
    const { username } = JSON.parse(await body(q));
    if (username === "alice") return problem(r, 409, "E_NAME_TAKEN", "Somebody has this name already.", "username");
    signedIn = true;
    return json(r, 201, data.me);
  }],
  ["POST", /^\/auth\/refresh$/, (_q, r) => (signedIn ? json(r, 200, data.me) : problem(r, 401, "E_UNAUTHENTICATED", "The session has ended."))],
  ["POST", /^\/auth\/logout$/, (_q, r) => { signedIn = false; json(r, 200, {}); }],
  ["GET", /^\/public$/, (_q, r) => json(r, 200, data.counters)],
  ["GET", /^\/pool$/, (_q, r) => json(r, 200, data.pool)],
  ["GET", /^\/wallet$/, (_q, r) => json(r, 200, data.wallet)],
  ["GET", /^\/wallet\/statement$/, (_q, r) => json(r, 200, { items: data.statement, next_cursor: "2" })],
  ["POST", /^\/wallet\/transfers$/, (_q, r) => json(r, 200, { new_balance_micro: "90000000" })],
  ["GET", /^\/projects$/, (_q, r) => json(r, 200, { items: data.projects, next_cursor: null })],
  ["GET", /^\/projects\/[^/]+\/tips$/, (_q, r) => json(r, 200, { items: data.tips, next_cursor: null })],
  ["POST", /^\/projects\/[^/]+\/tips$/, (_q, r) => json(r, 200, {})],
  ["POST", /^\/quote$/, (_q, r) => json(r, 200, data.quote)],
  ["GET", /^\/tasks$/, (_q, r, url) => {
    const status = url.searchParams.get("status");
    const wanted = status ? status.split(",") : null;
    const q = (url.searchParams.get("q") ?? "").toLowerCase();
    json(r, 200, { items: data.tasks().filter((task) => (!wanted || wanted.includes(task.status)) && `${task.task_id} ${task.task_name}`.toLowerCase().includes(q)), next_cursor: wanted || q ? null : "next" });
  }],
  ["POST", /^\/tasks$/, (_q, r) => json(r, 201, { task_id: "task_1041", price_cap_micro: "1250000" })],
  ["GET", /^\/tasks\/([^/]+)$/, (_q, r, _u, [id]) => {
    const detail = data.detail(id);
    return detail ? json(r, 200, detail) : problem(r, 404, "E_NOT_FOUND", `There is no task ${id}.`);
  }],
  ["GET", /^\/tasks\/([^/]+)\/explain$/, (_q, r, _u, [id]) => json(r, 200, data.explain(id))],
  ["GET", /^\/tasks\/([^/]+)\/grid$/, (_q, r) => json(r, 200, data.grid())],
  ["GET", /^\/tasks\/([^/]+)\/failures$/, (_q, r) => json(r, 200, data.failures)],
  ["GET", /^\/tasks\/([^/]+)\/timeline$/, (_q, r) => json(r, 200, data.timeline())],
  ["GET", /^\/tasks\/([^/]+)\/elements\/(\d+)$/, (_q, r, _u, [id, index]) => json(r, 200, { ...data.detail(id), error_message: index % 7 ? "" : "E_EXIT: the command ended with 2.", attempts: data.attempts })],
  ["GET", /^\/tasks\/([^/]+)\/elements$/, (_q, r) => json(r, 200, { items: data.elements(), next_cursor: "100" })],
  ["GET", /^\/tasks\/([^/]+)\/files$/, (_q, r) => json(r, 200, data.files)],
  ["GET", /^\/tasks\/([^/]+)\/file$/, (_q, r, url) => {
    const path = url.searchParams.get("path") ?? "";
    if (path.endsWith(".ppm")) { r.writeHead(200, { "content-type": "application/octet-stream" }); return r.end(data.ppm(Number(url.searchParams.get("element") ?? 1))); }
    r.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
    return r.end(data.text);
  }],
  ["GET", /^\/tasks\/([^/]+)\/entries$/, (_q, r) => json(r, 200, { lines: data.entries, cut: false })],
  ["GET", /^\/tasks\/([^/]+)\/logs$/, (_q, r) => { r.writeHead(200, { "content-type": "text/plain; charset=utf-8" }); r.end(data.text); }],
  ["GET", /^\/tasks\/([^/]+)\/logs\/events$/, (q, r) => stream(q, r, (send) => {
    let line = 0;
    const speed = Number(process.env.LOG_LINES ?? 6);
    const write = () => {
      let text = "";
      for (let at = 0; at < speed; at += 1) text += data.logLine((line += 1));
      send("log", { stream: "stdout", attempt: 1, offset: line * 60, text });
    };
    for (let at = 0; at < 20; at += 1) write();
    const timer = setInterval(write, 500);
    return () => clearInterval(timer);
  })],
  ["POST", /^\/tasks\/([^/]+)\/(cancel|retry)$/, (_q, r) => json(r, 200, { status: "cancelled", task_id: "task_1042", price_cap_micro: "1250000" })],
  ["PUT", /^\/contents$/, async (q, r) => { const sent = await body(q); json(r, 200, { digest: `sha256:${"ab".repeat(32)}`, size: sent.length }); }],
  ["POST", /^\/contents\/find$/, async (q, r) => { const { digests } = JSON.parse(await body(q)); json(r, 200, { contents: digests.map((digest) => ({ digest, complete: false, received: 0 })) }); }],
  ["GET", /^\/events$/, (q, r) => stream(q, r, (send) => {
    send("wallet", data.wallet);
    let progress = 40;
    const timer = setInterval(() => {
      progress = progress >= 99 ? 40 : progress + 1;
      send("task", { task_id: "task_1038", status: "running", progress, note: "" });
    }, 1500);
    return () => clearInterval(timer);
  })],
];

async function file(response, path) {
  const name = /\.[a-z]+$/.test(path) ? path.slice(1) : "index.html";
  try {
    const bytes = await readFile(dist + name);
    response.writeHead(200, { "content-type": TYPES[name.split(".").pop()] ?? "application/octet-stream", "content-security-policy": CSP, "x-content-type-options": "nosniff" });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

createServer((request, response) => {
  const url = new URL(request.url, "http://mock");
  if (url.pathname.includes("..")) return void response.writeHead(400).end();
  if (!url.pathname.startsWith("/api/v1/")) return void file(response, url.pathname);
  const path = url.pathname.slice("/api/v1".length);
  for (const [method, pattern, answer] of routes) {
    const found = pattern.exec(path);
    if (method === request.method && found) return void Promise.resolve(answer(request, response, url, found.slice(1))).catch((error) => problem(response, 500, "E_MOCK", String(error)));
  }
  return problem(response, 404, "E_NOT_FOUND", `The stand-in has no ${request.method} ${path}.`);
}).listen(Number(process.env.PORT ?? 8090), "127.0.0.1", function ready() {
  console.log(`ready web=http://127.0.0.1:${this.address().port}`);
});
