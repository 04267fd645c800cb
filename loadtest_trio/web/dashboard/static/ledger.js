// The ledger as a picture that always adds up: every created message lies in exactly one place.

import { count, make, words } from "./format.js";

const ENDED = [["processed", "s1"], ["missed", "s6"], ["dead", "s4"], ["purged", "s7"], ["cancelled", "s5"], ["lost", "bad"]];
const PRESENT = [["queued", "s3"], ["waiting", "s7"], ["delayed", "s5"], ["in_flight", "s2"]];

export class Ledger {
  constructor() {
    this.whole = make("div", { class: "ledger", role: "img" });
    this.part = make("div", { class: "ledger part", role: "img" });
    this.partTitle = make("p", { class: "hint" });
    this.sum = make("ul", { class: "sum" });
    this.verdict = make("p", { class: "verdict" });
    this.element = make(
      "div",
      { class: "card wide", id: "ledger" },
      make("h3", {}, "Where every message is"),
      this.whole, this.sum, this.verdict, this.partTitle, this.part,
    );
  }

  update(store) {
    const ledger = store.latest?.ledger;
    if (!ledger) return;
    const places = [...ENDED, ...PRESENT].filter(([name]) => name in ledger);
    const counted = places.map(([name, colour]) => ({ name, colour, value: ledger[name] }));
    const present = counted.filter(({ name }) => PRESENT.some(([each]) => each === name));
    this.fill(this.whole, counted, "All created messages");
    this.fill(this.part, present, "Messages that have not ended");
    const here = total(present);
    this.partTitle.textContent = here ? `Of these, ${count(here)} have not ended yet:` : "All of them have ended.";
    this.part.hidden = !here;
    this.list(ledger.created, counted);
    this.judge(ledger.created, total(counted));
  }

  fill(bar, counted, title) {
    const filled = counted.filter(({ value }) => value > 0);
    const segments = filled.map(({ name, colour, value }) =>
      make("i", {
        style: `flex-grow:${value};background:var(--${colour})`,
        title: `${words(name)}: ${count(value)}`,
        "data-place": name,
      }),
    );
    bar.replaceChildren(...segments);
    bar.setAttribute("aria-label", `${title}: ${filled.map(({ name, value }) => `${words(name)} ${count(value)}`).join(", ")}`);
  }

  list(created, counted) {
    const items = counted.map(({ name, colour, value }) =>
      make("li", { style: `--colour:var(--${colour})`, class: value ? null : "none", "data-place": name, "data-count": value },
        `${words(name)} `, make("b", {}, count(value))),
    );
    const first = make("li", { class: "total", "data-place": "created", "data-count": created },
      "created ", make("b", {}, count(created)), " =");
    this.sum.replaceChildren(first, ...items);
  }

  judge(created, accounted) {
    const difference = created - accounted;
    this.verdict.dataset.level = difference > 0 ? "bad" : difference < 0 ? "busy" : "good";
    this.verdict.textContent =
      difference > 0 ? `${count(difference)} messages are missing.`
        : difference < 0 ? `${count(-difference)} messages were put on the queue by somebody else.`
          : `It adds up: ${count(accounted)} of ${count(created)} are accounted for.`;
  }
}

const total = (counted) => counted.reduce((sum, { value }) => sum + value, 0);
