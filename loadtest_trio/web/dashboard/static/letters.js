// Dead letters: what was given up and why; put back or deleted by a click.

import { clock, make, words } from "./format.js";
import { ask } from "./ask.js";

const SHOWN = 20;

export class Letters {
  constructor() {
    this.body = make("div", {});
    this.said = make("p", { class: "hint", role: "status" });
    this.element = make("div", { class: "card wide", id: "letters", hidden: true },
      make("h3", {}, "Dead letters"), this.said, this.body);
    this.known = null;
  }

  update(store) {
    const dead = store.latest?.dead ?? 0;
    this.element.hidden = !dead && !this.known;
    if (store.replayed || this.known === dead) return;
    this.known = dead;
    this.load();
  }

  async load() {
    const answer = await ask("GET", `dead?limit=${SHOWN}`);
    if (!answer.ok) return;
    const { count, letters } = answer.body;
    this.body.replaceChildren(count ? this.table(letters, count) : make("p", { class: "hint" }, "None."));
  }

  table(letters, count) {
    const rows = letters.map((letter) => make("tr", {},
      make("td", {}, letter.time ? clock(1000 * letter.time) : "–"),
      make("td", { class: "words" }, `${letter.operation} ${letter.key}`),
      make("td", { class: "words" }, letter.error),
      make("td", {}, letter.attempts),
      make("td", {}, this.button("retry", letter), " ", this.button("delete", letter))));
    const heads = ["given up", "message", "reason", "attempts", "what to do"].map((title) => make("th", { scope: "col" }, title));
    const caption = `${letters.length} of ${count}, the latest first`;
    return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Dead letters" },
      make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)));
  }

  button(action, letter) {
    return make("button", {
      type: "button", "data-action": action, "aria-label": `${words(action)} ${letter.operation} ${letter.key}`,
      onclick: async (event) => {
        event.target.disabled = true;
        const answer = await ask("POST", `dead/${encodeURIComponent(letter.id)}/${action}`);
        this.said.textContent = answer.ok ? answer.body.said : answer.body.error;
        await this.load();
      },
    }, action);
  }
}
