// The Go peers of the job service, in one binary: `gin` is gin and redigo as their documentation shows them,
// `batched` is net/http with routing by hand and one pipeline to Redis that concurrent requests share.
//
//	POST /api/jobs       {"type": "sha512"|"factorial"|"sleep", "payload": {...}}, X-Client-Id -> 202, the job
//	GET  /api/jobs/{id}                                                                        -> 200, the job
//	GET  /observed       `batched` only, when OBSERVE is set: what its clients do (observer.go)
//
// Settings come from the environment: API_HOST, API_PORT, REDIS_ENDPOINT, WORKER_CONCURRENCY, JOB_TTL_SECONDS,
// and for `batched` ROLES (a part of api,worker).
// Jobs are computed in this process. They are popped without acknowledgement: a job in work is lost when the
// process dies. SIGTERM ends the process at once.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/gomodule/redigo/redis"
)

// settings are what the harness asks for.
type settings struct {
	address       string
	redisEndpoint string
	concurrency   int // jobs in work at a time
	ttlSeconds    int // a record is kept for so long after its last change
	observe       bool
	roles         string // `batched` only: api, worker, or both
}

func variable(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func number(name, otherwise string) int {
	value, err := strconv.Atoi(variable(name, otherwise))
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(2)
	}
	return value
}

func (s settings) dial() (redis.Conn, error) { return redis.DialURL(s.redisEndpoint) }

func main() {
	s := settings{
		address:       net.JoinHostPort(variable("API_HOST", "127.0.0.1"), variable("API_PORT", "8000")),
		redisEndpoint: variable("REDIS_ENDPOINT", "redis://127.0.0.1:6379"),
		concurrency:   number("WORKER_CONCURRENCY", "64"),
		ttlSeconds:    number("JOB_TTL_SECONDS", "3600"),
		observe:       variable("OBSERVE", "") != "",
		roles:         variable("ROLES", "api,worker"),
	}
	var handler http.Handler
	var err error
	switch variant := os.Args[len(os.Args)-1]; variant {
	case "gin":
		handler = newGin(s)
	case "batched":
		handler, err = newBatched(s)
	default:
		err = fmt.Errorf("usage: %s gin|batched", os.Args[0])
	}
	if err == nil {
		err = http.ListenAndServe(s.address, handler)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
