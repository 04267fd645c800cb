// Queue: what waits, for how long, and the ledger.

import { Chart } from "./chart.js";
import { Ledger } from "./ledger.js";
import { Letters } from "./letters.js";

const metrics = (store) => store.metrics;

export const queue = {
  id: "queue",
  title: "Queue",
  exists: (store) => store.metrics.length > 0,
  build: () => [
    new Ledger(),
    new Chart({
      title: "Not ended yet", unit: "messages", lines: metrics, stacked: true,
      series: [
        { name: "in flight", colour: "s2", value: (line) => line.in_flight },
        { name: "queued", colour: "s3", value: (line) => line.queue_length },
        { name: "delayed", colour: "s5", value: (line) => line.delayed },
        { name: "waiting", colour: "s7", value: (line) => line.ledger?.waiting ?? 0 },
      ],
    }),
    new Chart({
      title: "Given up or withheld", unit: "messages so far", lines: metrics,
      series: [
        { name: "dead", colour: "s4", value: (line) => line.dead },
        { name: "withheld", colour: "s3", value: (line) => line.messages_withheld },
        { name: "missed", colour: "s6", value: (line) => line.messages_missed },
      ],
    }),
    new Chart({
      title: "Oldest message", unit: "seconds", lines: metrics,
      series: [{ name: "age", colour: "s7", fill: true, value: (line) => line.oldest_seconds ?? line.jobs?.oldestSeconds ?? 0 }],
    }),
    new Letters(),
  ],
};
