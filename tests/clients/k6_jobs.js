// Brief 001's client for k6: a user creates jobs, polls each every second until all are done, starts over.
//
//   k6 run -e HOST=http://127.0.0.1:8000 -e USERS=10 -e SECONDS=10 tests/clients/k6_jobs.js
//
// Variables: HOST, USERS (10), SECONDS (10, all of it), RAMP_SECONDS (1, of these), JOBS (3), POLL_SECONDS (1),
// JOB (the body of a submission) and SUMMARY (a file for a JSON summary; standard output without it).
// A 429 is no failure: the user waits as long as Retry-After says. A job that ends badly counts as a failed check.
import http from 'k6/http';
import { check, sleep } from 'k6';
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';

const HOST = __ENV.HOST || 'http://127.0.0.1:8000';
const USERS = Number(__ENV.USERS || 10);
const SECONDS = Number(__ENV.SECONDS || 10);
const RAMP_SECONDS = Number(__ENV.RAMP_SECONDS || 1);
const JOBS = Number(__ENV.JOBS || 3);
const POLL_SECONDS = Number(__ENV.POLL_SECONDS || 1);
const JOB = __ENV.JOB || '{"type": "factorial", "payload": {"n": 20}}';
const SUCCEEDED = ['succeeded', 'completed'];
const FAILED = ['dead', 'dead_letter', 'failed', 'cancelled'];

const submitted = new Counter('jobs_submitted');
const done = new Counter('jobs_done');

http.setResponseCallback(http.expectedStatuses({ min: 200, max: 299 }, 429));

export const options = {
  scenarios: {
    users: {
      executor: 'ramping-vus',
      stages: [
        { duration: `${RAMP_SECONDS}s`, target: USERS },
        { duration: `${Math.max(0, SECONDS - RAMP_SECONDS)}s`, target: USERS },
      ],
      gracefulStop: '0s',
      gracefulRampDown: '0s',
    },
  },
  thresholds: { http_req_failed: ['rate==0'], checks: ['rate==1'] },
  summaryTrendStats: ['med', 'p(95)'],
  systemTags: ['status', 'name', 'method'],
};

function submit() {
  const headers = { 'Content-Type': 'application/json', 'X-Client-Id': `k6-${exec.vu.idInTest}` };
  const response = http.post(`${HOST}/api/jobs`, JOB, { headers, tags: { name: '/api/jobs' } });
  if (response.status === 202) {
    submitted.add(1);
    return response.json('id');
  }
  sleep(Number(response.headers['Retry-After'] || 1));
  return null;
}

function hasEnded(id) {
  const response = http.get(`${HOST}/api/jobs/${id}`, { tags: { name: '/api/jobs/{id}' } });
  if (response.status !== 200) {
    return true; // http_req_failed has counted it
  }
  const status = String(response.json('status')).toLowerCase();
  const succeeded = SUCCEEDED.includes(status);
  if (succeeded) {
    done.add(1);
  }
  if (succeeded || FAILED.includes(status)) {
    check(succeeded, { 'the job succeeded': (it) => it });
    return true;
  }
  return false;
}

export default function () {
  let pending = [];
  for (let n = 0; n < JOBS; n++) {
    const id = submit();
    if (id !== null) {
      pending.push(id);
    }
  }
  let due = Date.now();
  while (pending.length > 0) {
    due += 1000 * POLL_SECONDS;
    sleep(Math.max(0, due - Date.now()) / 1000);
    pending = pending.filter((id) => !hasEnded(id));
  }
}

export function handleSummary(data) {
  const count = (name) => (data.metrics[name] ? data.metrics[name].values.count : 0);
  const failed = data.metrics.http_req_failed;
  const checks = data.metrics.checks;
  const durations = data.metrics.http_req_duration;
  const summary = {
    requests: count('http_reqs'),
    failures: (failed ? failed.values.passes : 0) + (checks ? checks.values.fails : 0),
    jobs_submitted: count('jobs_submitted'),
    jobs_done: count('jobs_done'),
    p50_ms: durations ? durations.values.med : 0,
    p95_ms: durations ? durations.values['p(95)'] : 0,
  };
  return { [__ENV.SUMMARY || 'stdout']: `${JSON.stringify(summary)}\n` };
}
