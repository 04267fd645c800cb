// Load: the operations, their latencies, the mix, and the requests behind them.

import { Bars, Chart } from "./chart.js";
import { count, make, number, table } from "./format.js";
import { gain } from "./store.js";

const COLOURS = { READ: "s1", UPDATE: "s2", CREATE: "s3", DELETE: "s5" };
const spare = ["s6", "s7", "s4"];
const colourOf = (name, index) => COLOURS[name] ?? spare[index % spare.length];
const metrics = (store) => store.metrics;
// Those that the run has anything of.
const operations = (store) => Object.entries(store.latest?.by_operation ?? {})
  .filter(([, each]) => each.created || each.processed || each.failed).map(([name]) => name);
const SPANS = { end_to_end_ms: "from due to done", queue_wait_ms: "waiting", service_ms: "working" };

class ByOperation extends Chart {
  constructor(options, read) {
    super({ ...options, lines: metrics, series: () => this.names.map((name, index) => ({
      name, colour: colourOf(name, index), value: read(name),
    })) });
    this.names = [];
  }

  update(store) {
    this.names = operations(store);
    super.update(store);
  }
}

class Percentiles extends Chart {
  constructor() {
    const percentile = (name) => (line) => line.by_operation?.[this.operation]?.[this.span]?.[name];
    super({
      title: "Latency of one operation", unit: "ms", lines: metrics,
      series: [
        { name: "p50", colour: "s2", value: percentile("p50") },
        { name: "p95", colour: "s3", value: percentile("p95") },
        { name: "p99", colour: "s5", value: percentile("p99") },
      ],
    });
    this.operation = null;
    this.span = "end_to_end_ms";
    this.choices = make("div", { class: "row" });
    this.heading.after(this.choices);
  }

  update(store) {
    const names = operations(store);
    if (!names.includes(this.operation)) this.offer(store, names);
    super.update(store);
  }

  offer(store, names) {
    this.operation = names[0];
    const select = (label, options, chosen) => make("select", {
      "aria-label": label, onchange: (event) => { chosen(event.target.value); super.update(store); },
    }, ...options.map(([value, text]) => make("option", { value }, text)));
    this.choices.replaceChildren(
      select("Operation", names.map((name) => [name, name]), (value) => { this.operation = value; }),
      select("Part of the latency", Object.entries(SPANS), (value) => { this.span = value; }),
    );
  }
}

class Requests {
  constructor() {
    this.body = make("div", {});
    this.element = make("div", { class: "card wide", id: "requests" }, make("h3", {}, "Requests to S3 and Redis"), this.body);
  }

  update(store) {
    const [line, before] = [store.latest, store.metrics.at(-2)];
    if (!line) return;
    const rows = ["s3", "redis"].flatMap((backend) =>
      Object.entries(line[backend] ?? {}).map(([kind, calls]) => [
        backend === "s3" ? `S3 ${kind}` : `Redis ${kind}`,
        number(gain((each) => each[backend]?.[kind]?.count)(line, before)),
        count(calls.count), count(calls.errors),
        ...["p50", "p95", "p99", "max"].map((name) => number(calls.latency_ms?.[name])),
      ]),
    );
    const headings = ["request", "a second", "so far", "errors", "p50 ms", "p95 ms", "p99 ms", "max ms"];
    this.body.replaceChildren(table("Counts since the start; latencies of the last interval", headings, rows));
  }
}

class Kinds extends Chart {
  constructor(backend, title) {
    super({ title, unit: "ms, p99", lines: metrics, series: () => this.names.map((name, index) => ({
      name, colour: `s${1 + (index % 7)}`, value: (line) => line[backend]?.[name]?.latency_ms?.p99,
    })) });
    this.backend = backend;
    this.names = [];
  }

  update(store) {
    this.names = Object.keys(store.latest?.[this.backend] ?? {}).slice(0, 7);
    super.update(store);
  }
}

export const load = {
  id: "load",
  title: "Load",
  exists: (store) => operations(store).length > 0,
  build: () => [
    new ByOperation({ title: "Done by operation", unit: "a second", stacked: true },
      (name) => gain((line) => line.by_operation?.[name]?.processed)),
    new ByOperation({ title: "Latency by operation", unit: "ms from due to done, p99" },
      (name) => (line) => line.by_operation?.[name]?.end_to_end_ms?.p99),
    new Percentiles(),
    new Bars({
      title: "Mix", unit: "% of the messages",
      categories: (store) => operations(store).filter((name) => store.latest.by_operation[name].share_actual != null),
      groups: [
        { name: "nominal", colour: "s6", value: (store, name) => store.latest.by_operation[name].share_nominal },
        { name: "achieved", colour: "s1", value: (store, name) => store.latest.by_operation[name].share_actual },
      ],
    }),
    new Kinds("s3", "S3 requests"),
    new Kinds("redis", "Redis calls"),
    new Requests(),
  ],
};
