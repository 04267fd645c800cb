package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const hexDigits = "0123456789abcdef"

// runMinio handles the messages with one goroutine a slot, each blocking in BRPOP for its next message.
func runMinio(j job, t *tally) error {
	uuid.EnableRandPool()
	endpoint, err := url.Parse(j.s3Endpoint)
	if err != nil {
		return err
	}
	transport, err := minio.DefaultTransport(endpoint.Scheme == "https")
	if err != nil {
		return err
	}
	transport.MaxIdleConnsPerHost = j.concurrency
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(j.accessKey, j.secretKey, ""),
		Secure:       endpoint.Scheme == "https",
		Region:       j.region,
		BucketLookup: minio.BucketLookupPath,
		Transport:    http.RoundTripper(transport),
	})
	if err != nil {
		return err
	}
	pool := &redis.Pool{
		MaxIdle: j.concurrency,
		Dial:    func() (redis.Conn, error) { return redis.DialURL(j.redisEndpoint) },
	}
	defer pool.Close()
	var workers sync.WaitGroup
	for n := 0; n < j.concurrency; n++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			w := minioWorker{job: j, client: client}
			w.work(pool, t)
		}()
	}
	workers.Wait()
	return nil
}

type minioWorker struct {
	job    job
	client *minio.Client
	body   bytes.Buffer // reused for every download
}

func (w *minioWorker) work(pool *redis.Pool, t *tally) {
	connection := pool.Get()
	defer connection.Close()
	for atomic.LoadInt64(&t.claimed) < w.job.messages {
		popped, err := redis.ByteSlices(redis.DoWithTimeout(connection, 5*time.Second, "BRPOP", w.job.queue, 1))
		if errors.Is(err, redis.ErrNil) {
			continue
		}
		var m message
		if err == nil {
			atomic.AddInt64(&t.claimed, 1)
			if err = json.Unmarshal(popped[1], &m); err == nil {
				err = w.handle(m)
			}
		}
		t.record(m.Operation, m.Key, err)
	}
}

func (w *minioWorker) handle(m message) error {
	ctx := context.Background()
	switch m.Operation {
	case "READ":
		return w.get(ctx, m.Key)
	case "UPDATE":
		if err := w.get(ctx, m.Key); err != nil {
			return err
		}
		edit(w.body.Bytes())
		return w.put(ctx, m.Key, w.body.Bytes())
	case "CREATE":
		var payload strings.Builder
		payload.Grow(37 * m.Params.UUIDs)
		for n := 0; n < m.Params.UUIDs; n++ {
			payload.WriteString(uuid.NewString())
			payload.WriteByte('\n')
		}
		return w.put(ctx, m.Key, []byte(payload.String()))
	case "DELETE":
		return w.client.RemoveObject(ctx, w.job.bucket, m.Key, minio.RemoveObjectOptions{})
	}
	return errors.New("unknown operation")
}

func (w *minioWorker) get(ctx context.Context, key string) error {
	object, err := w.client.GetObject(ctx, w.job.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer object.Close()
	w.body.Reset()
	_, err = w.body.ReadFrom(object)
	return err
}

func (w *minioWorker) put(ctx context.Context, key string, body []byte) error {
	_, err := w.client.PutObject(ctx, w.job.bucket, key, bytes.NewReader(body), int64(len(body)),
		minio.PutObjectOptions{ContentType: "text/plain", DisableContentSha256: true})
	return err
}

// edit replaces two random hex digits of the body by two others.
func edit(body []byte) {
	for n := 0; n < 2; n++ {
		at := rand.Intn(len(body))
		for strings.IndexByte(hexDigits, body[at]) < 0 {
			at = rand.Intn(len(body))
		}
		old := strings.IndexByte(hexDigits, body[at])
		body[at] = hexDigits[(old+1+rand.Intn(15))%16]
	}
}
