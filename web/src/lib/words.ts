/**
 * Splits a command into words as a POSIX shell does, without a shell, and quotes words back.
 *
 * Invariant: nothing is expanded: no variables, no globs, no substitutions.
 */

/** Words joined so that a POSIX shell reads exactly these words again. */
export function shellQuote(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}

export type Words = { ok: true; words: string[] } | { ok: false; why: string };

export function splitWords(line: string): Words {
  const words: string[] = [];
  let word = "";
  let open = false;
  for (let at = 0; at < line.length; at += 1) {
    const sign = line.charAt(at);
    if (sign === "'" || sign === '"') {
      const end = closing(line, at);
      if (end === -1) return { ok: false, why: `A ${sign === "'" ? "single" : "double"} quotation mark is not closed.` };
      word += sign === "'" ? line.slice(at + 1, end) : line.slice(at + 1, end).replace(/\\([\\"$`])/g, "$1");
      open = true;
      at = end;
    } else if (sign === "\\") {
      if (at + 1 === line.length) return { ok: false, why: "A backslash at the end quotes nothing." };
      at += 1;
      word += line.charAt(at);
      open = true;
    } else if (/\s/.test(sign)) {
      if (open) words.push(word);
      word = "";
      open = false;
    } else {
      word += sign;
      open = true;
    }
  }
  if (open) words.push(word);
  return { ok: true, words };
}

function closing(line: string, from: number): number {
  const mark = line.charAt(from);
  for (let at = from + 1; at < line.length; at += 1) {
    if (mark === '"' && line.charAt(at) === "\\") at += 1;
    else if (line.charAt(at) === mark) return at;
  }
  return -1;
}
