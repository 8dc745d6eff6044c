// Links that show one job to people without a key: make one, see which there are, revoke them.

import { get, send } from "./api.js";
import { asked, shownOnce } from "./dialogs.js";
import { element, replace } from "./dom.js";
import { moment } from "./format.js";

/** Show the links of a job until the dialog is closed. */
export async function share(job) {
  const path = `/jobs/${job.id}/shares`;
  const problems = element("p", { class: "field-error", role: "alert" });
  const list = element("ul", { class: "share-list", "aria-label": "Links" });
  const days = element("input", { id: "share-days", type: "number", min: "1", max: "3650", value: "30" });
  const attempt = (act) => act().catch((problem) => replace(problems, problem.message));
  const look = async () => replace(list, (await get(path)).data.map(item));

  function item(link) {
    const revoke = async () => {
      await send("DELETE", `${path}/${link.id}`);
      await look();
      days.focus();
    };
    const until = link.expires_at ? `expires ${moment(link.expires_at)}` : "lasts as long as its key";
    return element("li", {},
      element("span", {}, `Created ${moment(link.created_at)}, `, until),
      element("button", { type: "button", class: "danger small", on: { click: () => attempt(revoke) } }, "Revoke link"));
  }

  async function create(event) {
    event.preventDefault();
    replace(problems);
    const made = await send("POST", path, days.value ? { expires_in_days: Number(days.value) } : {});
    await shownOnce("Link to this job", "People with this link see the job without a key. It is not shown again.", "Link", new URL(made.url, location.origin).href);
    await look();
  }

  const form = element("form", { class: "dialog-form", novalidate: true, on: { submit: (event) => void attempt(() => create(event)) } },
    element("p", { class: "muted" }, "A link shows only this job, with its note, its evaluation and the list of its models. It shows no output, files or datasets, and cannot change anything."),
    list,
    element("label", { for: "share-days" }, "Days until the link expires (empty: as long as your key)"),
    days, problems,
    element("div", { class: "dialog-end" },
      element("button", { type: "button", on: { click: () => form.closest("dialog").close("") } }, "Close"),
      element("button", { class: "primary" }, "Create link")));
  const closed = asked("Share this job", form);
  await attempt(look);
  await closed;
}
