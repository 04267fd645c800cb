// Run: how fast, how late, and what it uses.

import { Chart } from "./chart.js";
import { Events } from "./events.js";
import { gain } from "./store.js";

const metrics = (store) => store.metrics;

export const run = {
  id: "run",
  title: "Run",
  exists: (store) => store.metrics.length > 0,
  build: () => [
    new Chart({
      title: "Messages", unit: "a second", lines: metrics,
      series: [
        { name: "done", colour: "s1", fill: true, value: (line) => line.rate_per_second },
        { name: "enqueued", colour: "s3", dash: "dot", value: gain((line) => line.messages_created) },
      ],
    }),
    new Chart({
      title: "From due to done", unit: "ms, 99 of 100 are faster", lines: metrics,
      series: [{ name: "p99", colour: "s5", fill: true, value: (line) => line.end_to_end_p99_ms }],
    }),
    new Chart({
      title: "Errors", unit: "failed attempts a second", lines: metrics,
      series: [
        { name: "attempts", colour: "s4", fill: true, value: gain((line) => line.errors) },
        { name: "throttled", colour: "s3", value: gain((line) => line.requests_throttled) },
      ],
    }),
    new Chart({
      title: "CPU", unit: "% of one core", lines: metrics,
      series: [
        { name: "used", colour: "s1", fill: true, value: (line) => line.cpu_percent },
        { name: "waited for a core", colour: "s3", value: (line) => line.cpu_wait_percent },
        { name: "limit", colour: "s4", dash: "dash", value: (line) => line.cpu_limit && 100 * line.cpu_limit },
      ],
    }),
    new Chart({
      title: "Memory", unit: "MB", lines: metrics,
      series: [
        { name: "used", colour: "s2", fill: true, value: (line) => line.memory_mb },
        { name: "limit", colour: "s4", dash: "dash", value: (line) => line.memory_limit_mb },
      ],
    }),
    new Chart({
      title: "Own lag", unit: "ms, the longest of each interval", lines: metrics,
      series: [
        { name: "event loop", colour: "s5", value: (line) => line.loop_lag_ms },
        { name: "scheduler", colour: "s3", value: (line) => line.schedule_lag_ms },
      ],
    }),
    new Chart({
      title: "Workers", unit: "at the same time", lines: metrics,
      series: [
        { name: "workers", colour: "s1", value: (line) => line.workers },
        { name: "in flight", colour: "s2", value: (line) => line.in_flight },
      ],
    }),
    new Events(),
  ],
};
