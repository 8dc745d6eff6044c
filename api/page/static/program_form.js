// A job that runs a program: which one, which script of it, and with what arguments.

import { get } from "./api.js";
import { element, replace, setText } from "./dom.js";

export class ProgramForm {
  /** `onChange(program)` gets the whole part of the spec. */
  constructor(node, onChange) {
    this.node = node;
    this.onChange = onChange;
    this.program = null;
    this.known = [];
    this.versionOf = null;
    this.id = this.#field("select", "program-id", "Program", (value) => ({ id: value }));
    this.entry = this.#field("select", "program-entry", "Script", (value) => ({ entry: value || undefined }));
    this.arguments = this.#field("textarea", "program-arguments", "Arguments, one on each line", (value) => ({ arguments: asList(value) }));
    this.network = element("input", { type: "checkbox", id: "program-network", on: { change: () => this.#change({ network: this.network.checked || undefined }) } });
    const network = element("div", { class: "field check" }, element("label", { for: "program-network" }, this.network, "Allow internet access"));
    this.hint = element("p", { class: "hint muted" });
    replace(node, element("div", { class: "card-head" }, element("h2", {}, "Program")), element("div", { class: "fields" }, this.id.node, this.entry.node, network, this.arguments.node), this.hint);
    this.arguments.node.classList.add("whole");
  }

  /** Show the part of the spec; hidden where there is none. */
  show(program) {
    this.node.hidden = !program;
    this.program = program ?? null;
    if (!program) return;
    offer(this.id.input, [...new Set([program.id, ...this.known])].filter(Boolean), program.id);
    this.network.checked = Boolean(program.network);
    if (document.activeElement !== this.arguments.input) this.arguments.input.value = (program.arguments ?? []).join("\n");
    void this.#showScripts(program);
  }

  /** The id of the first program that there is, after asking for all; empty where there is none. */
  async list() {
    const { data } = await get("/programs?limit=100");
    this.known = data.map((one) => one.id);
    setText(this.hint, this.known.length ? "" : "No programs yet. fitstop run train.py uploads and runs one.");
    return this.known[0] ?? "";
  }

  async #showScripts({ id, version, entry }) {
    const wanted = `${id} ${version ?? ""}`;
    if (wanted !== this.versionOf) {
      this.versionOf = wanted;
      const query = version ? `?version=${encodeURIComponent(version)}` : "";
      const found = id ? await get(`/programs/${encodeURIComponent(id)}${query}`).catch(() => null) : null;
      if (this.versionOf !== wanted) return;
      this.scripts = (found?.files ?? []).map((file) => file.path).filter((path) => path.endsWith(".py"));
      this.usual = found?.default_entry;
    }
    const first = element("option", { value: "" }, this.usual ? `${this.usual} (default)` : "choose one");
    const others = [...new Set([...this.scripts ?? [], entry])].filter(Boolean);
    replace(this.entry.input, first, others.map((path) => element("option", { value: path }, path)));
    this.entry.input.value = this.program?.entry ?? "";
  }

  #field(tag, id, label, part) {
    const rows = tag === "textarea" ? { rows: 3, spellcheck: "false" } : {};
    const input = element(tag, { id, ...rows, on: { [tag === "select" ? "change" : "input"]: () => this.#change(part(input.value)) } });
    return { input, node: element("div", { class: "field" }, element("label", { for: id }, label), input) };
  }

  /** Another program has other scripts and other versions. */
  #change(part) {
    const { version, entry, ...rest } = this.program;
    this.onChange({ ...rest, ...(part.id === undefined ? { version, entry } : {}), ...part });
  }
}

function offer(select, values, chosen) {
  replace(select, values.map((value) => element("option", { value }, value)));
  select.value = chosen;
}

function asList(text) {
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.length ? lines : undefined;
}
