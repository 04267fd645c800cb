// Tune: the search as it goes.

import { shared } from "./chart.js";
import { Events } from "./events.js";
import { make, number, table } from "./format.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

class Stages {
  constructor() {
    this.plot = make("div", { class: "plot tall", role: "img", "aria-label": "Offered against done" });
    this.element = make("figure", { class: "card chart wide", "data-chart": "Offered against done" },
      make("figcaption", {}, make("h3", {}, "Offered against done ", make("small", {}, "messages a second, a point a step"))),
      window.Plotly ? this.plot : null);
  }

  update(store) {
    if (!window.Plotly) return;
    const stages = store.of("tune_stage");
    const kinds = [["passed", true, "s2"], ["failed", false, "s4"], ["measured", null, "s6"]];
    const traces = kinds.map(([name, passed, shade]) => {
      const chosen = stages.filter((line) => (line.passed ?? null) === passed);
      return {
        x: chosen.map((line) => line.offered_per_second), y: chosen.map((line) => line.goodput_per_second),
        text: chosen.map((line) => `${line.kind}, ${line.workers} workers ${line.change ?? ""}`),
        mode: "markers", name, marker: { color: colour(shade), size: 10 }, hovertemplate: "%{text}<br>%{x:.0f} offered, %{y:.0f} done",
      };
    });
    const most = Math.max(1, ...stages.map((line) => line.offered_per_second ?? 0));
    traces.push({ x: [0, most], y: [0, most], mode: "lines", name: "all of it", line: { color: colour("quiet"), dash: "dot" }, hoverinfo: "skip" });
    const axis = { gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, rangemode: "tozero" };
    const layout = { ...shared(), hovermode: "closest", margin: { l: 64, r: 10, t: 8, b: 44 }, xaxis: { ...axis, title: { text: "offered" } }, yaxis: { ...axis, title: { text: "done" } } };
    window.Plotly.react(this.plot, traces, layout, { displayModeBar: false, responsive: true });
  }
}

class Verdicts {
  constructor() {
    this.body = make("div", {});
    this.element = make("div", { class: "card wide", id: "stages" }, make("h3", {}, "Steps"), this.body);
  }

  update(store) {
    const rows = store.of("tune_stage").map((line) => [
      line.stage, line.kind, line.change ?? "", number(line.workers), number(line.offered_per_second), number(line.goodput_per_second),
      number(line.cpu_percent), number(line.p99_ms ?? line.end_to_end_p99_ms),
      line.passed == null ? "" : line.passed ? "passed" : (line.reasons ?? []).join("; "),
    ]);
    const found = store.of("tune_saturation").at(-1);
    const verdict = store.of("tune_verdict").at(-1);
    const told = [
      found ? `Saturation point: ${number(found.rate)} messages a second.` : null,
      verdict ? `Bottleneck: ${verdict.bottleneck}. ${(verdict.because ?? []).join(" ")}` : null,
    ].filter(Boolean);
    const headings = ["step", "kind", "change", "workers", "offered a second", "done a second", "CPU %", "p99 ms", "result"];
    this.body.replaceChildren(...told.map((text) => make("p", { class: "verdict" }, text)),
      table("The steps, the latest first", headings, rows.reverse(), [0, 1, 2, 8]));
  }
}

export const tune = {
  id: "tune",
  title: "Tune",
  exists: (store) => store.of("tune_stage").length > 0,
  build: () => [new Stages(), new Verdicts(), new Events()],
};
