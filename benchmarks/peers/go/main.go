// The Go peers, in one binary: `minio` is minio-go and redigo as their documentation shows them,
// `expert` is net/http with hand-made SigV4 and batched claims, `tuned` the same with every allocation
// and system call gone that a profiler finds. Contract: environment in, one JSON line out (../common.py).
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// job is what the harness asks for.
type job struct {
	redisEndpoint, s3Endpoint, bucket, queue, region string
	accessKey, secretKey                             string
	messages                                         int64
	concurrency                                      int
	signPayload                                      bool
}

// message is one queue element.
type message struct {
	Operation string `json:"operation"`
	Key       string `json:"key"`
	Params    struct {
		UUIDs int `json:"uuids"`
	} `json:"params"`
}

// tally counts what was done.
type tally struct {
	claimed, failed int64
	mutex           sync.Mutex
	done            map[string]int64
}

func (t *tally) record(operation, key string, err error) {
	if err != nil {
		atomic.AddInt64(&t.failed, 1)
		fmt.Fprintln(os.Stderr, operation, key, err)
		return
	}
	t.mutex.Lock()
	t.done[operation]++
	t.mutex.Unlock()
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
		panic(err)
	}
	return value
}

func main() {
	j := job{
		redisEndpoint: variable("REDIS_ENDPOINT", "redis://127.0.0.1:6379"),
		s3Endpoint:    variable("S3_ENDPOINT_URL", ""),
		bucket:        variable("S3_BUCKET", "bench"),
		queue:         "{" + variable("QUEUE_NAME", "loadtest") + "}:queue",
		region:        variable("AWS_REGION", "us-east-1"),
		accessKey:     variable("AWS_ACCESS_KEY_ID", ""),
		secretKey:     variable("AWS_SECRET_ACCESS_KEY", ""),
		messages:      int64(number("MESSAGES", "1000")),
		concurrency:   number("WORKER_CONCURRENCY", "64"),
		signPayload:   variable("SIGN_PAYLOAD", "") != "",
	}
	t := &tally{done: map[string]int64{"READ": 0, "UPDATE": 0, "CREATE": 0, "DELETE": 0}}
	started := time.Now()
	var err error
	switch variant := os.Args[len(os.Args)-1]; variant {
	case "expert", "tuned":
		err = runExpert(j, t, variant == "tuned")
	case "minio":
		err = runMinio(j, t)
	default:
		err = fmt.Errorf("usage: %s minio|expert|tuned", os.Args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	report(t, time.Since(started))
}

func report(t *tally, wall time.Duration) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	total := int64(0)
	for _, count := range t.done {
		total += count
	}
	line, _ := json.Marshal(map[string]interface{}{
		"messages":     total,
		"failed":       t.failed,
		"by_operation": t.done,
		"wall_seconds": wall.Seconds(),
		"cpu_seconds":  time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds(),
	})
	fmt.Println(string(line))
}
