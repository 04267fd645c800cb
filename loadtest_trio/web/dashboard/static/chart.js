// One chart: a plotly picture for the eye, and a table behind it for everybody else.

import { clock, make, number, table } from "./format.js";

const ROWS = 30; // of the table: the latest

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const faint = (hex) => `${hex}26`;

export class Chart {
  // series: [{ name, colour: "s1", value: (line, before) => number, dash, fill }], or a function of the lines
  constructor({ title, unit, series, lines, stacked = false, tall = false, wide = false }) {
    Object.assign(this, { title, unit, series, lines, stacked });
    this.plot = make("div", { class: tall ? "plot tall" : "plot", role: "img", "aria-label": title });
    this.details = make("details", { ontoggle: () => this.list() }, make("summary", {}, "Table"));
    this.heading = make("h3", {}, title, " ", make("small", {}, unit));
    this.element = make(
      "figure",
      { class: wide ? "card wide chart" : "card chart", "data-chart": title },
      make("figcaption", {}, this.heading),
      window.Plotly ? this.plot : null,
      this.details,
    );
  }

  update(store) {
    this.rows = store.shown(this.lines(store));
    this.values = this.currentSeries().map((series) =>
      this.rows.map((line, index) => series.value(line, this.rows[index - 1]) ?? null),
    );
    // A figure that this run does not have needs no empty chart.
    this.element.hidden = !this.values.some((values) => values.some((value) => value != null));
    if (this.element.hidden) return;
    this.draw(store.marks());
    if (this.details.open) this.list();
  }

  currentSeries() {
    return typeof this.series === "function" ? this.series(this.rows) : this.series;
  }

  draw({ spans, moments }) {
    const series = this.currentSeries();
    const latest = series.map((each, index) => `${each.name} ${number(this.values[index].at(-1))}`);
    this.plot.setAttribute("aria-label", `${this.title} in ${this.unit}, latest: ${latest.join(", ")}`);
    if (!window.Plotly) return;
    const times = this.rows.map((line) => new Date(line.timestamp));
    const traces = series.map((each, index) => ({
      x: times,
      y: this.values[index],
      name: each.name,
      mode: times.length < 3 ? "lines+markers" : "lines",
      stackgroup: this.stacked ? "all" : undefined,
      line: { color: colour(each.colour), width: this.stacked ? 1 : 2, dash: each.dash },
      fill: each.fill && !this.stacked ? "tozeroy" : undefined,
      fillcolor: each.fill && !this.stacked ? faint(colour(each.colour)) : undefined,
      hovertemplate: "%{y:,.4~g}",
    })).filter((trace) => trace.y.some((value) => value != null));
    window.Plotly.react(this.plot, traces, this.layout(spans, moments), { displayModeBar: false, responsive: true });
  }

  layout(spans, moments) {
    const first = this.rows[0]?.timestamp;
    const seen = (at) => first && Date.parse(at) >= Date.parse(first);
    const bars = spans.filter((span) => seen(span.to)).map((span) => ({
      type: "rect", yref: "paper", y0: 0, y1: 1, layer: "below", line: { width: 0 },
      x0: new Date(seen(span.from) ? span.from : first), x1: new Date(span.to), fillcolor: faint(colour("s4")),
    }));
    const rules = moments.filter((moment) => seen(moment.at)).map((moment) => ({
      type: "line", yref: "paper", y0: 0, y1: 1, x0: new Date(moment.at), x1: new Date(moment.at),
      line: { color: colour("quiet"), width: 1, dash: "dot" },
    }));
    return { ...shared(), ...this.axes(), shapes: [...bars, ...rules] };
  }

  axes() {
    const axis = { gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false };
    const most = Math.max(...this.values.flat().filter((value) => value != null));
    const sure = most > 0 ? {} : { range: [0, 1], tickvals: [0, 1] };
    return {
      xaxis: { ...axis, showgrid: false, tickformat: this.timeFormat(), nticks: 6 },
      yaxis: { ...axis, rangemode: "tozero", tickformat: most >= 20000 ? "~s" : ",.6~g", nticks: 5, ...sure },
      showlegend: this.currentSeries().length > 1,
    };
  }

  timeFormat() {
    const seconds = (Date.parse(this.rows.at(-1)?.timestamp) - Date.parse(this.rows[0]?.timestamp)) / 1000;
    return seconds > 2 * 86400 ? "%d %b" : seconds > 1800 ? "%H:%M" : "%H:%M:%S";
  }

  list() {
    if (!this.details.open || !this.rows) return;
    const series = this.currentSeries();
    const rows = this.rows.map((line, index) => [
      clock(line.timestamp),
      ...series.map((_, column) => number(this.values[column][index])),
    ]);
    const caption = `${this.title} in ${this.unit}, the latest first`;
    const shown = table(caption, ["time", ...series.map((each) => each.name)], rows.slice(-ROWS).reverse());
    this.details.replaceChildren(this.details.firstChild, shown);
  }
}

// A series a name: `read(line)` is an object, `value(name)` reads a line's number of one name in it.
export function named(read, value) {
  return (lines) => [...new Set(lines.flatMap((line) => Object.keys(read(line) ?? {})))].sort().map((name, index) => ({
    name, colour: `s${1 + (index % 7)}`, dash: ["solid", "dot", "dash"][Math.floor(index / 7) % 3], value: value(name),
  }));
}

export function shared() {
  return {
    margin: { l: 44, r: 10, t: 8, b: 30 },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: "system-ui, sans-serif", size: 12, color: colour("quiet") },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("text") } },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
  };
}

// Bars side by side for each category: `groups` are [{ name, colour, values }].
export class Bars {
  constructor({ title, unit, categories, groups }) {
    Object.assign(this, { title, unit, categories, groups });
    this.plot = make("div", { class: "plot", role: "img", "aria-label": title });
    this.details = make("details", { ontoggle: () => this.list() }, make("summary", {}, "Table"));
    this.element = make(
      "figure",
      { class: "card chart", "data-chart": title },
      make("figcaption", {}, make("h3", {}, title, " ", make("small", {}, unit))),
      window.Plotly ? this.plot : null,
      this.details,
    );
  }

  update(store) {
    this.names = this.categories(store);
    this.drawn = this.groups.map((group) => ({ ...group, data: this.names.map((name) => group.value(store, name)) }));
    const told = this.names.map((name, at) => `${name} ${this.drawn.map((group) => number(group.data[at])).join(" / ")}`);
    const what = this.drawn.map((group) => group.name).join(" / ");
    this.plot.setAttribute("aria-label", `${this.title} in ${this.unit}, ${what}: ${told.join(", ")}`);
    if (this.details.open) this.list();
    this.element.hidden = !this.names.length;
    if (!window.Plotly || !this.names.length) return;
    const traces = this.drawn.map((group) => ({
      type: "bar", x: this.names, y: group.data, name: group.name, marker: { color: colour(group.colour) },
      hovertemplate: "%{y:,.3~g}",
    }));
    const axis = { gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false };
    const layout = { ...shared(), barmode: "group", bargap: 0.35, xaxis: { ...axis, showgrid: false }, yaxis: axis };
    window.Plotly.react(this.plot, traces, layout, { displayModeBar: false, responsive: true });
  }

  list() {
    if (!this.details.open || !this.drawn) return;
    const rows = this.names.map((name, at) => [name, ...this.drawn.map((group) => number(group.data[at]))]);
    const headings = ["", ...this.drawn.map((group) => group.name)];
    this.details.replaceChildren(this.details.firstChild, table(`${this.title} in ${this.unit}`, headings, rows));
  }
}
