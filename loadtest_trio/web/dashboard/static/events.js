// The latest events, newest first: a name in words, and its fields on a click.

import { clock, make, words } from "./format.js";

const MOST = 60;
const LONGEST = 160; // characters of a nested value: the log has the rest
const HIDDEN = new Set(["timestamp", "level", "event", "settings", "machine", "versions", "traceback", "ledger", "run_id"]);

export class Events {
  constructor() {
    this.list = make("ul", { class: "events", tabindex: 0, "aria-label": "Events, the latest first" });
    this.element = make("div", { class: "card wide" }, make("h3", {}, "Events"), this.list);
    this.shown = null;
  }

  update(store) {
    const latest = store.events.slice(-MOST).reverse();
    if (this.shown === latest[0]) return;
    this.shown = latest[0];
    this.list.replaceChildren(...latest.map(item));
  }
}

const short = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text);

function item(line) {
  const fields = Object.entries(line).filter(([name, value]) => !HIDDEN.has(name) && value != null);
  const text = fields.map(([name, value]) => `${words(name)} ${typeof value === "object" ? short(JSON.stringify(value)) : value}`);
  return make("li", { "data-level": line.level },
    make("time", { datetime: line.timestamp }, clock(line.timestamp)),
    make("b", {}, words(line.event)), text.length ? ` · ${text.join(" · ")}` : "");
}
