/**
 * The servers under test: each in a process of its own, with a data folder of its own, on ports that were free.
 *
 * Start at {@link Server.start}. A server that is started again keeps its folder and its ports, so that open pages find it.
 *
 * Invariant: only processes that were started here are ended.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { promisify } from "node:util";

const run = promisify(execFile);

/** How long a server may take until it serves, and until it has ended. */
const PATIENCE_MS = 240_000;
/** So much of what a server says is kept for a failure's message. */
const KEPT = 4000;

/** The executable under test. */
export function binary(): string {
  const path = process.env["HIVEMIND_E2E_BINARY"];
  if (!path || !existsSync(path)) throw new Error("HIVEMIND_E2E_BINARY must name a hivemind executable with the pages in it");
  return path;
}

/** Runs a command to its end, and gives what it printed. */
export async function hivemind(...args: string[]): Promise<string> {
  const { stdout } = await run(binary(), args, { maxBuffer: 4 << 20, timeout: PATIENCE_MS });
  return stdout;
}

/** What a ready line says: `grpc=https://127.0.0.1:50051 web=http://127.0.0.1:8080`. */
export function readyFacts(line: string): Record<string, string> {
  return Object.fromEntries([...line.matchAll(/(\w+)=(\S+)/g)].map((found) => [found[1] ?? "", found[2] ?? ""]));
}

/** Below what the kernel gives to whoever asks for any port, and to connections that go out. */
const [FIRST_PORT, LAST_PORT] = [16_384, 32_767];

/** A free loopback address that stays free while its server is away. */
export async function steadyAddress(): Promise<string> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT + 1));
    const tried = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      tried.once("error", () => resolve(false));
      tried.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => tried.close(resolve));
    return `127.0.0.1:${port}`;
  }
}

/** A server that runs. */
export class Server {
  facts: Record<string, string> = {};
  #child: ChildProcess | null = null;
  #said = "";

  private constructor(
    readonly data: string,
    private readonly args: readonly string[],
    private readonly env: Record<string, string>,
  ) {}

  /** Starts one. One that is to be started again listens at a {@link steadyAddress}. */
  static async start(data: string, args: readonly string[], env: Record<string, string> = {}): Promise<Server> {
    const server = new Server(data, args, env);
    await server.again();
    return server;
  }

  /** Starts it again after it was stopped. */
  async again(): Promise<void> {
    const child = spawn(binary(), ["--data", this.data, ...this.args], { env: { ...process.env, ...this.env }, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    this.#said = "";
    const note = (text: string) => (this.#said = (this.#said + text).slice(-KEPT));
    child.stderr?.setEncoding("utf8").on("data", note);
    const line = await new Promise<string>((resolve, reject) => {
      let out = "";
      const late = setTimeout(() => reject(new Error(`no ready line within ${PATIENCE_MS} ms:\n${this.#said}`)), PATIENCE_MS);
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`it ended with ${code} before it was ready:\n${this.#said}`)));
      child.stdout?.setEncoding("utf8").on("data", (text: string) => {
        note(text);
        out += text;
        const found = /^ready .*$/m.exec(out);
        if (!found || !out.includes("\n", found.index)) return;
        clearTimeout(late);
        resolve(found[0]);
      });
    });
    this.facts = readyFacts(line);
  }

  /** An address of the ready line; an error where it says none of that name. */
  url(name: string): string {
    const found = this.facts[name];
    if (found === undefined) throw new Error(`the ready line names no ${name}: ${JSON.stringify(this.facts)}`);
    return found;
  }

  /** Ends it as an operator would. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Ends it in the middle of whatever it does. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
    await ended;
    clearTimeout(late);
  }
}
