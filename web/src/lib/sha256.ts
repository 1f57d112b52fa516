/** `sha256:<hex>` of `bytes`, or null where the browser does not let this page count it (plain HTTP from another machine). */
export async function sha256(bytes: BufferSource): Promise<string | null> {
  if (typeof crypto.subtle === "undefined") return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256:${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
