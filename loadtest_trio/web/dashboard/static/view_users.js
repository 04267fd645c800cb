// Users: wanted and actual, requests with percentiles and failures, jobs, steps, and why it stopped.

import { Chart, named } from "./chart.js";
import { Events } from "./events.js";
import { count, make, number, table } from "./format.js";

const users = (store) => store.users;
const routes = (store) => store.routes;
const field = (name) => (line) => line[name];
const job = (name) => (line) => line.jobs?.[name];

class Steps {
  constructor() {
    this.body = make("div", {});
    this.element = make("div", { class: "card wide", id: "steps" }, make("h3", {}, "Steps"), this.body);
  }

  update(store) {
    const stops = store.of("users_stop_condition");
    const rows = store.of("users_step").map((line) => [
      line.step, count(line.users), number(line.requests_per_second),
      number(line.p50_ms), number(line.p95_ms), number(line.p99_ms), number(line.failed_percent),
      number(line.jobs_finished_per_second), number(line.target_cpu_percent),
      [...stops.filter((stop) => stop.step === line.step).map((stop) => stop.condition), ...(line.limited?.length ? ["the generator limited it"] : [])].join(", "),
    ]);
    const told = [
      ...stops.map((stop) => `Stop condition ${stop.condition} in step ${stop.step}: ${stop.evidence}`),
      ...(store.of("users_verdict").at(-1)?.sentences ?? []),
    ];
    this.element.hidden = !rows.length && !told.length;
    const headings = ["step", "users", "requests a second", "p50 ms", "p95 ms", "p99 ms", "failed %", "jobs done a second", "target CPU %", "marked"];
    this.body.replaceChildren(...told.map((text) => make("p", { class: "verdict", "data-level": "busy" }, text)),
      table("The finished steps", headings, rows, [9]));
  }
}

class Routes {
  constructor() {
    this.body = make("div", {});
    this.element = make("div", { class: "card wide" }, make("h3", {}, "Requests by route"), this.body);
  }

  update(store) {
    const line = store.routes.at(-1);
    this.element.hidden = !line;
    if (!line) return;
    const rows = Object.entries(line.routes).map(([name, route]) => [
      name, number(route.requests / line.seconds), count(route.failures),
      ...["p50", "p95", "p99", "max"].map((each) => number(route[`${each}_ms`] ?? route[each])),
      Object.entries(route.statuses ?? {}).map(([status, n]) => `${status}: ${count(n)}`).join(", "),
    ]);
    this.body.replaceChildren(table("The last interval, timed from when each request was due",
      ["route", "a second", "failed", "p50 ms", "p95 ms", "p99 ms", "max ms", "answers"], rows, [0, 7]));
  }
}

const percentile = (name, prefix = "") => (line) => line[`${prefix}${name}_ms`] ?? line[`${prefix}${name}`];

export const crowd = {
  id: "users",
  title: "Users",
  exists: (store) => store.users.length > 0,
  build: () => [
    new Chart({
      title: "Simulated users", unit: "at the same time", lines: users,
      series: [
        { name: "wanted", colour: "s6", dash: "dash", value: field("users_wanted") },
        { name: "actual", colour: "s1", fill: true, value: field("users") },
        { name: "leaving", colour: "s7", value: field("users_leaving") },
      ],
    }),
    new Chart({
      title: "Requests of users", unit: "a second", lines: users,
      series: [
        { name: "requests", colour: "s1", fill: true, value: field("requests_per_second") },
        { name: "failed", colour: "s4", value: (line) => line.failures / line.seconds },
      ],
    }),
    new Chart({
      title: "Response time", unit: "ms from when it was due", lines: users,
      series: [["p50", "s2"], ["p95", "s3"], ["p99", "s5"]].map(([name, colour]) => ({ name, colour, value: percentile(name) })),
    }),
    new Chart({
      title: "Requests by route", unit: "a second", lines: routes,
      series: named((line) => line.routes, (name) => (line) => (line.routes[name]?.requests ?? 0) / line.seconds),
    }),
    new Chart({
      title: "Response time by route", unit: "p95, ms from when it was due", lines: routes,
      series: named((line) => line.routes, (name) => (line) => percentile("p95")(line.routes[name] ?? {})),
    }),
    new Chart({
      title: "Jobs of users", unit: "a second", lines: users,
      series: [
        { name: "submitted", colour: "s3", dash: "dot", value: job("submitted_per_second") },
        { name: "finished", colour: "s1", fill: true, value: job("finished_per_second") },
      ],
    }),
    new Chart({
      title: "Jobs open at once", unit: "jobs", lines: users,
      series: [{ name: "open", colour: "s7", fill: true, value: job("open") }],
    }),
    new Chart({
      title: "Generator", unit: "CPU in %, lag in ms", lines: users,
      series: [
        { name: "CPU", colour: "s1", value: (line) => line.generator?.cpu_percent },
        { name: "lag p95", colour: "s3", value: (line) => line.generator?.lag_p95_ms ?? line.generator?.schedule_lag_p95_ms },
      ],
    }),
    new Steps(),
    new Routes(),
    new Events(),
  ],
};
