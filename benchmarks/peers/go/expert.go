package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
)

const batch = 64 // messages a claim

// runExpert handles the messages with one claiming goroutine that pops batches, its next RPOP already
// on the way while a batch is handed out, and a fixed set of workers behind a channel.
//
// Tuned adds what a profiler suggests next: bodies received into buffers that are kept, random numbers
// without system calls, and a collector that runs a quarter as often.
func runExpert(j job, t *tally, tuned bool) error {
	if tuned {
		debug.SetGCPercent(400)
	}
	transport := &http.Transport{
		MaxIdleConns:        j.concurrency,
		MaxIdleConnsPerHost: j.concurrency,
		DisableCompression:  true,
	}
	signer := newSigner(j)
	work := make(chan []byte, batch)
	var workers sync.WaitGroup
	for n := 0; n < j.concurrency; n++ {
		workers.Add(1)
		w := &expertWorker{transport: transport, signer: signer, random: newSource(n, tuned), tuned: tuned}
		go func() {
			defer workers.Done()
			for element := range work {
				var m message
				err := json.Unmarshal(element, &m)
				if err == nil {
					err = w.handle(m)
				}
				t.record(m.Operation, m.Key, err)
			}
		}()
	}
	err := claim(j, t, work)
	close(work)
	workers.Wait()
	return err
}

func claim(j job, t *tally, work chan<- []byte) error {
	connection, err := redis.DialURL(j.redisEndpoint)
	if err != nil {
		return err
	}
	defer connection.Close()
	ask := func() error {
		if err := connection.Send("RPOP", j.queue, batch); err != nil {
			return err
		}
		return connection.Flush()
	}
	if err := ask(); err != nil {
		return err
	}
	for atomic.LoadInt64(&t.claimed) < j.messages {
		elements, err := redis.ByteSlices(connection.Receive())
		if err != nil && !errors.Is(err, redis.ErrNil) {
			return err
		}
		if len(elements) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		atomic.AddInt64(&t.claimed, int64(len(elements)))
		if err := ask(); err != nil {
			return err
		}
		for _, element := range elements {
			work <- element
		}
	}
	return nil
}

type expertWorker struct {
	transport *http.Transport
	signer    *signer
	random    source
	tuned     bool
	body      []byte // the last object; its memory is reused when tuned
}

func (w *expertWorker) handle(m message) error {
	switch m.Operation {
	case "READ":
		return w.do(http.MethodGet, m.Key, nil)
	case "UPDATE":
		if err := w.do(http.MethodGet, m.Key, nil); err != nil {
			return err
		}
		w.random.edit(w.body)
		return w.do(http.MethodPut, m.Key, w.body)
	case "CREATE":
		if !w.tuned {
			w.body = nil
		}
		w.body = w.random.uuids(w.body[:0], m.Params.UUIDs)
		return w.do(http.MethodPut, m.Key, w.body)
	case "DELETE":
		return w.do(http.MethodDelete, m.Key, nil)
	}
	return errors.New("unknown operation")
}

// do makes one signed request; a GET leaves the object in w.body.
func (w *expertWorker) do(method, key string, body []byte) error {
	request := w.signer.request(method, key, body, time.Now())
	if body != nil {
		request.Body = io.NopCloser(bytes.NewReader(body))
		request.ContentLength = int64(len(body))
	}
	response, err := w.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	if method != http.MethodGet {
		_, err = io.Copy(io.Discard, response.Body)
	} else if !w.tuned || response.ContentLength < 0 {
		w.body, err = io.ReadAll(response.Body)
	} else {
		err = w.receive(response)
	}
	return err
}

// receive reads a body of known length into w.body, and on to its end, so that the connection is kept.
func (w *expertWorker) receive(response *http.Response) error {
	size := int(response.ContentLength)
	if cap(w.body) < size {
		w.body = make([]byte, size, size*5/4)
	}
	w.body = w.body[:size]
	if _, err := io.ReadFull(response.Body, w.body); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, response.Body)
	return err
}
