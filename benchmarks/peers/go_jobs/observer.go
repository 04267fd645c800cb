package main

import (
	"encoding/json"
	"sync"
	"time"
)

// observer counts, for the users benchmark, what the clients of this server do. The server sees all load
// generators alike, while each of them would tell its own times in its own way.
//
// The gap of a poll is the time since the poll of the same job before, or since its submission: a user that
// polls every second makes gaps of 1,000 ms and a little, whatever the server needs for the answer.
type observer struct {
	lock     sync.Mutex
	requests int64
	failures int64
	last     map[string]time.Time // by job, until it has ended
	gaps     map[int64]int64      // milliseconds -> polls
}

func newObserver() *observer {
	return &observer{last: map[string]time.Time{}, gaps: map[int64]int64{}}
}

// request counts a request.
func (o *observer) request() {
	if o == nil {
		return
	}
	o.lock.Lock()
	o.requests++
	o.lock.Unlock()
}

// failure counts a request whose answer is not 2xx.
func (o *observer) failure() {
	if o == nil {
		return
	}
	o.lock.Lock()
	o.failures++
	o.lock.Unlock()
}

// seen notes a submission or a poll of a job.
func (o *observer) seen(id string) {
	if o == nil {
		return
	}
	now := time.Now()
	o.lock.Lock()
	if before, ok := o.last[id]; ok {
		o.gaps[now.Sub(before).Milliseconds()]++
	}
	o.last[id] = now
	o.lock.Unlock()
}

// ended forgets a job: its client knows that it has ended.
func (o *observer) ended(id string) {
	o.lock.Lock()
	delete(o.last, id)
	o.lock.Unlock()
}

// report returns everything that was counted so far.
func (o *observer) report() []byte {
	o.lock.Lock()
	defer o.lock.Unlock()
	text, _ := json.Marshal(map[string]interface{}{
		"requests": o.requests, "failures": o.failures, "gaps_ms": o.gaps,
	})
	return text
}
