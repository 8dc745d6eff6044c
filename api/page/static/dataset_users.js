// Which jobs use which dataset, of the newest jobs.

import { get } from "./api.js";
import { TERMINAL } from "./format.js";

const NEWEST = 1000;
const AT_ONCE = 100;

/** The newest jobs by the datasets that they use, `users` (a Map of lists), and whether there are older ones, `isCut`. */
export async function findUsers() {
  const users = new Map();
  let after = null;
  let page;
  let count = 0;
  do {
    page = await get(`/jobs?${new URLSearchParams({ limit: AT_ONCE, ...(after && { after }) })}`);
    for (const job of page.data) for (const id of datasetsOf(job)) users.set(id, [...(users.get(id) ?? []), job]);
    after = page.data.at(-1)?.id;
    count += page.data.length;
  } while (page.has_more && count < NEWEST);
  return { users, isCut: page.has_more };
}

/** Those that have not ended, and so keep the dataset from being deleted. */
export function unfinished(jobs) {
  return jobs.filter((job) => !TERMINAL.has(job.status));
}

function datasetsOf({ spec }) {
  return spec.dataset ? [spec.dataset.id] : (spec.program?.datasets ?? []);
}
