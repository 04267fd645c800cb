// The lines of the run so far, and what several of them say together.

const MOST = 4000; // of one kind: what the server keeps, and room for hours of looking on

export class Store {
  constructor() {
    this.clear();
    this.span = 0; // seconds that the charts show; 0: everything
  }

  clear() {
    this.metrics = [];
    this.users = [];
    this.routes = [];
    this.events = [];
    this.situation = null;
    this.replayed = false;
  }

  add(line) {
    if (line.event === "metrics") keep(this.metrics, line);
    else if (line.event === "users") keep(this.users, line);
    else if (line.event === "users_routes") keep(this.routes, line);
    else keep(this.events, line);
  }

  get latest() {
    return this.metrics.at(-1);
  }

  get started() {
    return this.of("service_started").at(-1);
  }

  of(name) {
    return this.events.filter((line) => line.event === name);
  }

  // The lines of a series within the chosen span.
  shown(lines) {
    if (!this.span || !lines.length) return lines;
    const since = Date.parse(lines.at(-1).timestamp) - 1000 * this.span;
    return lines.filter((line) => Date.parse(line.timestamp) >= since);
  }

  // What a person should see on the time axis: outages as spans, uses of a control as moments.
  marks() {
    const spans = [];
    const open = {};
    for (const line of this.events) {
      if (line.event === "backend_unavailable") {
        open[line.backend] ??= line.timestamp;
      } else if (line.event === "backend_recovered" && open[line.backend]) {
        spans.push({ from: open[line.backend], to: line.timestamp, name: line.backend });
        delete open[line.backend];
      }
    }
    const now = this.latest?.timestamp;
    for (const [name, from] of Object.entries(open)) {
      // A flood of comings and goings is told in part only; the metrics line knows how it is now.
      const ended = this.latest?.degraded && !(name in this.latest.degraded);
      if (now > from && !ended) spans.push({ from, to: now, name });
    }
    const moments = this.of("control_used").map((line) => ({
      at: line.timestamp,
      name: `${line.control}: ${line.value}`,
    }));
    return { spans, moments };
  }
}

function keep(lines, line) {
  lines.push(line);
  if (lines.length > MOST) lines.splice(0, MOST / 2);
}

// How much a running count gained a second, from one line to the next.
export function gain(read) {
  return (line, before) => {
    if (!before) return null;
    const [now, then] = [read(line), read(before)];
    const seconds = (Date.parse(line.timestamp) - Date.parse(before.timestamp)) / 1000;
    return now == null || then == null || seconds <= 0 || now < then ? null : (now - then) / seconds;
  };
}
