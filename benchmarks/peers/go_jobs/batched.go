package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	claimBatch  = 64
	longestBody = 64 << 10
	path        = "/api/jobs"
)

var (
	jsonType   = []string{"application/json"}
	clientsKey = http.CanonicalHeaderKey("X-Client-Id")
	succeeded  = []byte(`"status":"succeeded"`)
)

// batchedService keeps a job's record as the JSON text that GET answers with, so that nothing is parsed there.
type batchedService struct {
	settings settings
	pipe     *pipeline
	random   func() uint64
	observer *observer // nil: nobody asks
}

// record is the JSON text of a job in each of its states.
type record struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	ClientID  string `json:"client_id"`
	CreatedAt int64  `json:"created_at"`
	Work      work   `json:"work"`
}

// newBatched returns the routes, having started the pipeline and the claimer.
func newBatched(s settings) (http.Handler, error) {
	connection, err := s.dial()
	if err != nil {
		return nil, err
	}
	claims, err := s.dial()
	if err != nil {
		return nil, err
	}
	rand.Seed(time.Now().UnixNano())
	service := &batchedService{settings: s, pipe: newPipeline(connection), random: rand.Uint64}
	if s.observe {
		service.observer = newObserver()
	}
	if strings.Contains(s.roles, "worker") {
		go func() { fail("claimer", service.claim(claims)) }()
	}
	return service, nil
}

// fail ends the process: a service that cannot reach Redis has nothing to measure.
func fail(who string, err error) {
	fmt.Fprintln(os.Stderr, who+":", err)
	os.Exit(1)
}

func (b *batchedService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.observer.request()
	switch {
	case r.Method == http.MethodGet && len(r.URL.Path) > len(path)+1 && strings.HasPrefix(r.URL.Path, path+"/"):
		b.status(w, r.URL.Path[len(path)+1:])
	case r.Method == http.MethodPost && r.URL.Path == path:
		b.submit(w, r)
	case r.URL.Path == "/observed" && b.observer != nil:
		answer(w, http.StatusOK, b.observer.report())
	default:
		b.refuse(w, http.StatusNotFound, errors.New("no such route"))
	}
}

func answer(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	w.Write(body)
}

func (b *batchedService) refuse(w http.ResponseWriter, status int, err error) {
	b.observer.failure()
	body, _ := json.Marshal(map[string]string{"error": err.Error()})
	answer(w, status, body)
}

func (b *batchedService) submit(w http.ResponseWriter, r *http.Request) {
	clients := r.Header[clientsKey]
	if len(clients) == 0 {
		b.refuse(w, http.StatusBadRequest, errors.New("X-Client-Id is missing"))
		return
	}
	var s submission
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longestBody))
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil {
		b.refuse(w, http.StatusBadRequest, err)
		return
	}
	parsed, err := parse(s)
	if err != nil {
		b.refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	j := record{ID: b.newID(), Type: parsed.Type, ClientID: clients[0], CreatedAt: time.Now().Unix(), Work: parsed}
	element, err := json.Marshal(j)
	text := j.text("queued", "")
	if err == nil {
		set := newCall("SET", "job:"+j.ID, text, "EX", b.settings.ttlSeconds)
		push := newCall("LPUSH", queue, element)
		b.pipe.send(set, push) // in this order: whoever claims it finds a record
		_, err = set.wait()
		if _, second := push.wait(); err == nil {
			err = second
		}
	}
	if err != nil {
		b.refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	b.observer.seen(j.ID)
	w.Header()["Location"] = []string{path + "/" + j.ID}
	answer(w, http.StatusAccepted, text)
}

func (b *batchedService) newID() string {
	var raw [16]byte
	for n, value := range [2]uint64{b.random(), b.random()} {
		for byteAt := 0; byteAt < 8; byteAt++ {
			raw[8*n+byteAt] = byte(value >> (8 * byteAt))
		}
	}
	return hex.EncodeToString(raw[:])
}

func (b *batchedService) status(w http.ResponseWriter, id string) {
	b.observer.seen(id)
	get := newCall("GET", "job:"+id)
	b.pipe.send(get)
	text, err := redis.Bytes(get.wait())
	switch {
	case errors.Is(err, redis.ErrNil):
		b.refuse(w, http.StatusNotFound, errors.New("no such job"))
	case err != nil:
		b.refuse(w, http.StatusServiceUnavailable, err)
	default:
		if b.observer != nil && bytes.Contains(text, succeeded) {
			b.observer.ended(id)
		}
		answer(w, http.StatusOK, text)
	}
}

// text returns the record as JSON. Only the client's id needs escaping: all else is made here.
func (r record) text(status, result string) []byte {
	client, _ := json.Marshal(r.ClientID)
	out := make([]byte, 0, 192+len(result))
	out = append(out, `{"id":"`...)
	out = append(out, r.ID...)
	out = append(out, `","type":"`...)
	out = append(out, r.Type...)
	out = append(out, `","client_id":`...)
	out = append(out, client...)
	out = append(out, `,"status":"`...)
	out = append(out, status...)
	out = append(out, `","created_at":`...)
	out = strconv.AppendInt(out, r.CreatedAt, 10)
	if status == "succeeded" {
		out = append(out, `,"ended_at":`...)
		out = strconv.AppendInt(out, time.Now().Unix(), 10)
	}
	if result != "" {
		out = append(out, `,"result":"`...)
		out = append(out, result...)
		out = append(out, '"')
	}
	return append(out, '}')
}

// claim pops jobs in batches, and starts a goroutine for each, until Redis fails.
func (b *batchedService) claim(connection redis.Conn) error {
	slots := make(chan struct{}, b.settings.concurrency)
	for {
		reply, err := redis.Values(
			redis.DoWithTimeout(connection, 10*time.Second, "BLMPOP", 5, 1, queue, "RIGHT", "COUNT", claimBatch))
		if errors.Is(err, redis.ErrNil) {
			continue
		}
		if err != nil {
			return err
		}
		elements, err := redis.ByteSlices(reply[1], nil)
		if err != nil {
			return err
		}
		for _, element := range elements {
			var j record
			if err := json.Unmarshal(element, &j); err != nil {
				return err
			}
			slots <- struct{}{}
			go func() {
				b.work(j)
				<-slots
			}()
		}
	}
}

func (b *batchedService) work(j record) {
	key := "job:" + j.ID
	running := newCall("SET", key, j.text("running", ""), "EX", b.settings.ttlSeconds)
	b.pipe.send(running)
	result := compute(j.Work)
	done := newCall("SET", key, j.text("succeeded", result), "EX", b.settings.ttlSeconds)
	b.pipe.send(done)
	_, err := running.wait()
	if _, second := done.wait(); err == nil {
		err = second
	}
	if err != nil {
		fail("worker", err)
	}
}
