/**
 * A container image that the machine's Docker engine has, made without any network.
 *
 * Where no engine answers there is none, and tests that need one skip themselves; HIVEMIND_REQUIRE_DOCKER=1 makes that a failure.
 *
 * Invariant: only the image that was made here is removed.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, copyFile, mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** How long a command of Docker may take. */
const PATIENCE_MS = 240_000;
/** One static executable with a shell. */
const SHELLS = ["/bin/busybox", "/usr/bin/busybox"];
const COMMANDS = ["sh", "sleep", "mkdir", "cat"];

async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run("docker", args, { timeout: PATIENCE_MS });
  return stdout.trim();
}

async function shell(): Promise<string> {
  for (const path of SHELLS) {
    const isThere = await access(path, constants.X_OK).then(() => true, () => false);
    if (isThere) return path;
  }
  throw new Error("there is no busybox to make an image of: install the package busybox-static (Debian's name)");
}

/** Makes an image with a shell in it, below `folder`; gives its name, and null where no engine answers. */
export async function makeImage(folder: string): Promise<string | null> {
  const why = await docker("version", "--format", "{{.Server.Version}}").then(() => null, (error: unknown) => String(error));
  if (why !== null) {
    if (process.env["HIVEMIND_REQUIRE_DOCKER"] === "1") throw new Error(`no Docker engine answers, and HIVEMIND_REQUIRE_DOCKER is 1: ${why}`);
    return null;
  }
  const root = join(folder, "image");
  await mkdir(join(root, "bin"), { recursive: true, mode: 0o755 });
  await copyFile(await shell(), join(root, "bin", "busybox"));
  for (const name of COMMANDS) await symlink("busybox", join(root, "bin", name));
  const packed = join(folder, "image.tar");
  await run("tar", ["-C", root, "--owner=0", "--group=0", "--mode=go+rX", "-cf", packed, "bin"], { timeout: PATIENCE_MS });
  const name = `hivemind-e2e/shell:${randomBytes(5).toString("hex")}`;
  await docker("import", "--change", "ENV PATH=/bin", packed, name);
  return name;
}

/** Removes an image that [`makeImage`] made. */
export async function removeImage(name: string): Promise<void> {
  await docker("image", "rm", "--force", name);
}

/** How many containers of an image there are now. */
export async function containersOf(image: string): Promise<number> {
  const ids = await docker("ps", "--quiet", "--filter", `ancestor=${image}`);
  return ids === "" ? 0 : ids.split("\n").length;
}
