// The service that this page is served by: requests, its key, and its errors as sentences.

let key = "", megabytes = 1;

export class Problem extends Error {
  constructor(sentence, code) {
    super(sentence);
    this.code = code;
  }
}

export function useKey(text) {
  key = text;
}

/** Take what the service says of itself: GET /v1/models. */
export function useLimits({ limits }) {
  megabytes = limits.megabytes;
}

/** Bytes that a request may have beside its form. */
export const mostBytes = () => megabytes * 1e6;

/** Whether an error is only that the page itself has ended a request. */
export const stopped = (error) => error.name === "AbortError";

/** Ask the service. fields: of a form, by name; files as Blob, several values as lists. signal: ends the request.
 * Returns the response. */
export async function ask(method, path, fields, signal) {
  const headers = key ? { "X-Api-Key": key } : {};
  const body = fields && formOf(fields);
  let response;
  try {
    response = await fetch(path, { method, headers, body, signal, cache: "no-store" });
  } catch (error) {
    if (stopped(error)) throw error;
    throw new Problem("deepmat does not answer; is it still running?", "offline");
  }
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  const { code = "failed", detail = `deepmat answered with status ${response.status}` } = told.error ?? {};
  throw new Problem(sentence(detail), code);
}

function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each instanceof Blob) form.append(name, each, name);
      else form.append(name, String(each));
    }
  }
  return form;
}

/** "image: not a picture" as a sentence, which stands beside its picture. */
export function sentence(detail) {
  const text = detail.replace(/^image: /, "").trim();
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
