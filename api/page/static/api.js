// Talking to the API. The browser sends its session's cookie by itself; an error is a Problem with the API's own words.

import { notice } from "./notice.js";

const SIGN_IN = "/page/sign-in";

/** Whether the page shows one job to people with a link, whose token is after the # of the address. */
export const isShared = document.body.dataset.scope === "shared";
const TOKEN = isShared ? location.hash.slice(1) : null;
if (isShared) addEventListener("hashchange", () => location.reload());

/** What the API refused (RFC 9457), or that it did not answer: status 0. `document` is the whole problem document. */
export class Problem extends Error {
  constructor(document, retryAfter = null) {
    super(document.detail ?? document.title ?? "unknown problem");
    this.document = document;
    this.status = document.status ?? 0;
    this.code = document.code ?? "no_answer";
    this.errors = document.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

/** The parsed answer of a GET. */
export async function get(path, { signal } = {}) {
  return parsed(await asked(path, { signal, headers: { Accept: "application/json" } }));
}

/**
 * The answer of a GET where it is another one than before: `{ etag, body }`, or null for the same. `etag` is the one
 * of the answer before, null at first.
 */
export async function getChanged(path, etag, { signal } = {}) {
  const response = await asked(path, { signal, headers: etag ? { "If-None-Match": etag } : {} });
  if (response.status === 304) return null;
  return { etag: response.headers.get("ETag"), body: await parsed(response) };
}

/** The parsed answer of any other method; null where it has no body. A `body` that is no file is sent as JSON. */
export async function send(method, path, body = undefined, headers = {}) {
  const isRaw = body instanceof Blob || body === undefined;
  const kind = isRaw ? {} : { "Content-Type": "application/json" };
  return parsed(await asked(path, { method, body: isRaw ? body : JSON.stringify(body), headers: { ...kind, ...headers } }));
}

/** Go to where a person signs in, and come back from there. */
export function goToSignIn() {
  if (location.pathname === SIGN_IN) return;
  const next = location.pathname + location.search;
  location.assign(`${SIGN_IN}?${new URLSearchParams({ next })}`);
}

async function asked(path, { headers, ...options }) {
  let response;
  try {
    const shown = isShared ? { Authorization: `Bearer ${TOKEN}` } : {};
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", headers: { ...headers, ...shown }, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ status: 0, code: "no_answer", detail: "The service does not answer." });
  }
  const away = response.headers.get("Fitstop-Volume-Away");
  if (away) notice(sentence(away), "warn");
  if (response.ok || response.status === 304) return response;
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  if (response.status === 401 && isShared) throw new Problem({ status: 401, code: "link_over", detail: "This link is not valid: it has expired, was revoked, or is incomplete." });
  if (response.status === 401) goToSignIn();
  throw new Problem(await documentOf(response), retryAfter);
}

function sentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}

async function documentOf(response) {
  const plain = { status: response.status, title: response.statusText, detail: `The service answered ${response.status}.` };
  try {
    return { ...plain, ...(await response.json()) };
  } catch {
    return plain; // a proxy's own page
  }
}

async function parsed(response) {
  return response.status === 204 ? null : response.json();
}
