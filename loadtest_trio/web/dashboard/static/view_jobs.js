// Jobs: by status and type, requests by route, refusals, cache; one job's life by its id.

import { ask } from "./ask.js";
import { Bars, Chart, named } from "./chart.js";
import { count, make, number, table, words } from "./format.js";
import { gain } from "./store.js";

const metrics = (store) => store.metrics.filter((line) => line.jobs || line.requests);
const latest = (store) => metrics(store).at(-1);
const STATUSES = {
  PENDING: "s3", RUNNING: "s2", RETRYING: "s5", COMPLETED: "s1", DEAD_LETTER: "s4", CANCELLED: "s6",
};
const ended = (status) => gain((line) => line.jobs?.byStatus?.[status]);
const endedOf = (counts) => counts && (counts.succeeded ?? 0) + (counts.dead ?? 0) + (counts.cancelled ?? 0);
const answers = (line, matches) => Object.values(line.requests ?? {}).reduce((sum, { statuses }) =>
  sum + Object.entries(statuses).reduce((all, [status, n]) => all + (matches(status) ? n : 0), 0), 0);

class Routes {
  constructor() {
    this.body = make("div", {});
    this.element = make("div", { class: "card wide", id: "routes" }, make("h3", {}, "Requests by route"), this.body);
  }

  update(store) {
    const [line, before] = metrics(store).slice(-2).reverse();
    const rows = Object.entries(line?.requests ?? {}).map(([route, { statuses, latency_ms: latency }]) => {
      const total = (each) => Object.values(each.requests?.[route]?.statuses ?? {}).reduce((sum, n) => sum + n, 0);
      return [
        route, number(gain(total)(line, before)), count(total(line)),
        Object.entries(statuses).map(([status, n]) => `${status}: ${count(n)}`).join(", "),
        ...["p50", "p95", "p99"].map((name) => number(latency?.[name])),
      ];
    });
    this.element.hidden = !rows.length;
    const headings = ["route", "a second", "so far", "answers", "p50 ms", "p95 ms", "p99 ms"];
    this.body.replaceChildren(table("Requests of the API: counts since the start; latencies of the last interval", headings, rows, [0, 3]));
  }
}

class Lookup {
  constructor() {
    this.field = make("input", { id: "job-field", autocomplete: "off", placeholder: "a job's id, or a client" });
    this.said = make("p", { class: "hint", role: "status" });
    this.body = make("div", {});
    const form = make("form", { class: "row", onsubmit: (event) => { event.preventDefault(); this.find(); } },
      make("label", { for: "job-field" }, "Find jobs "), this.field,
      make("button", { type: "submit" }, "Find"),
      make("button", { type: "button", id: "latest-jobs", onclick: () => this.latest() }, "The latest"));
    form.style.justifyContent = "flex-start";
    this.element = make("div", { class: "card wide", id: "lookup" }, make("h3", {}, "A job's life"), form, this.said, this.body);
  }

  update(store) {
    this.element.hidden = store.replayed;
  }

  async latest() {
    this.field.value = "";
    const { ok, body } = await ask("GET", "jobs?latest=true");
    const none = "This process has accepted no job yet.";
    this.said.textContent = ok ? (body.jobs.length ? "The latest that this process has accepted:" : none) : body.error;
    this.body.replaceChildren(...(body.jobs ?? []).map((job) => this.card(job, false)));
  }

  async find() {
    const wanted = encodeURIComponent(this.field.value.trim());
    if (!wanted) return;
    const [byId, byClient] = await Promise.all([ask("GET", `jobs?id=${wanted}`), ask("GET", `jobs?client=${wanted}`)]);
    const jobs = [...(byId.body.jobs ?? []), ...(byClient.body.jobs ?? [])];
    this.said.textContent = byId.ok ? (jobs.length ? "" : "No job has this id, and no client this name.") : byId.body.error;
    this.body.replaceChildren(...jobs.map((job) => this.card(job)));
  }

  card(job, open = true) {
    const fields = Object.entries(job).filter(([, value]) => value != null && value !== "");
    const rows = fields.map(([name, value]) => [words(name), typeof value === "object" ? JSON.stringify(value) : String(value)]);
    const act = (action) => make("button", {
      type: "button", "data-action": action,
      onclick: async () => {
        const answer = await ask("POST", `jobs/${encodeURIComponent(job.id)}/${action}`);
        this.said.textContent = answer.ok ? answer.body.said : answer.body.error;
        if (answer.ok) await (this.field.value ? this.find() : this.latest());
      },
    }, action);
    const possible = job.status === "DEAD_LETTER" ? ["retry"] : ["PENDING", "RUNNING", "RETRYING"].includes(job.status) ? ["cancel"] : [];
    return make("details", { open, class: "job" },
      make("summary", {}, `${job.id} · ${job.type ?? ""} · ${job.status}`), ...possible.map(act),
      table(`Job ${job.id}`, ["field", "value"], rows, [0, 1]));
  }
}

class Facts {
  constructor() {
    this.list = make("ul", { class: "sum" });
    this.element = make("div", { class: "card wide" }, make("h3", {}, "Now"), this.list);
  }

  update(store) {
    const line = latest(store);
    const jobs = line?.jobs;
    this.element.hidden = !jobs;
    if (!jobs) return;
    const cache = jobs.cache ?? {};
    const facts = [
      ["clients with open jobs", count(jobs.lanes)],
      ["oldest waiting", jobs.oldestSeconds == null ? "none waits" : `${number(jobs.oldestSeconds)} s`],
      ["to be pulled", count(jobs.completedToPull)],
      ["refused (429, 503)", count(answers(line, (status) => ["429", "503"].includes(status)))],
      ["records found in Redis", cache.hitRate == null ? "–" : `${number(100 * cache.hitRate)} %`],
    ];
    this.list.replaceChildren(...facts.map(([name, value]) => make("li", { class: "total" }, `${name} `, make("b", {}, value))));
  }
}

export const jobs = {
  id: "jobs",
  title: "Jobs",
  exists: (store) => metrics(store).length > 0,
  build: () => [
    new Facts(),
    new Chart({
      title: "Requests", unit: "a second", lines: metrics,
      series: [
        { name: "answered well", colour: "s1", fill: true, value: gain((line) => answers(line, (status) => status < 400)) },
        { name: "refused", colour: "s3", value: gain((line) => answers(line, (status) => ["429", "503"].includes(status))) },
        { name: "other errors", colour: "s4", value: gain((line) => answers(line, (status) => status >= 400 && !["429", "503"].includes(status))) },
      ],
    }),
    new Chart({
      title: "Jobs ended", unit: "a second", lines: metrics,
      series: [
        { name: "completed", colour: "s1", fill: true, value: ended("COMPLETED") },
        { name: "dead", colour: "s4", value: ended("DEAD_LETTER") },
        { name: "cancelled", colour: "s6", value: ended("CANCELLED") },
      ],
    }),
    new Chart({
      title: "Jobs ended by type", unit: "a second", lines: metrics,
      series: named((line) => line.jobs?.byType, (type) => gain((line) => endedOf(line.jobs?.byType?.[type]))),
    }),
    new Chart({
      title: "Jobs open", unit: "jobs", lines: metrics, stacked: true,
      series: ["RUNNING", "PENDING", "RETRYING"].map((status) => ({
        name: words(status.toLowerCase()), colour: STATUSES[status], value: (line) => line.jobs?.byStatus?.[status],
      })),
    }),
    new Chart({
      title: "Oldest waiting job", unit: "seconds", lines: metrics,
      series: [{ name: "age", colour: "s7", fill: true, value: (line) => line.jobs && (line.jobs.oldestSeconds ?? 0) }],
    }),
    new Bars({
      title: "By type", unit: "jobs so far",
      categories: (store) => Object.keys(latest(store)?.jobs?.byType ?? {}),
      groups: [["submitted", "s6"], ["succeeded", "s1"], ["dead", "s4"], ["cancelled", "s7"]].map(([name, colour]) => ({
        name, colour, value: (store, type) => latest(store).jobs.byType[type]?.[name],
      })),
    }),
    new Routes(),
    new Lookup(),
  ],
};
