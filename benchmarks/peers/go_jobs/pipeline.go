package main

import (
	"sync"

	"github.com/gomodule/redigo/redis"
)

const pipelineBatch = 512

// pipeline sends the Redis calls of concurrent requests together: while one batch is under way the next
// gathers. One system call in each direction then serves dozens of requests.
type pipeline struct {
	connection redis.Conn
	lock       sync.Mutex
	gathered   []*call
	wake       chan struct{}
}

// call is one command. It is used once, and goes back to the pool when its reply is taken.
type call struct {
	command string
	args    []interface{}
	reply   interface{}
	err     error
	done    chan struct{}
}

var calls = sync.Pool{New: func() interface{} { return &call{done: make(chan struct{}, 1)} }}

func newCall(command string, args ...interface{}) *call {
	c := calls.Get().(*call)
	c.command, c.args = command, args
	return c
}

// wait returns the reply; the call must not be used afterwards.
func (c *call) wait() (interface{}, error) {
	<-c.done
	reply, err := c.reply, c.err
	c.args, c.reply, c.err = nil, nil, nil
	calls.Put(c)
	return reply, err
}

func newPipeline(connection redis.Conn) *pipeline {
	p := &pipeline{connection: connection, wake: make(chan struct{}, 1)}
	go p.run()
	return p
}

// send adds calls to the next batch, in this order.
func (p *pipeline) send(added ...*call) {
	p.lock.Lock()
	p.gathered = append(p.gathered, added...)
	p.lock.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pipeline) take(batch []*call) []*call {
	p.lock.Lock()
	defer p.lock.Unlock()
	count := len(p.gathered)
	if count > pipelineBatch {
		count = pipelineBatch
	}
	batch = append(batch[:0], p.gathered[:count]...)
	p.gathered = append(p.gathered[:0], p.gathered[count:]...)
	return batch
}

func (p *pipeline) run() {
	var batch []*call
	for range p.wake {
		for batch = p.take(batch); len(batch) > 0; batch = p.take(batch) {
			p.exchange(batch)
		}
	}
}

// exchange makes one round trip. A broken connection gives its error to every call from then on.
func (p *pipeline) exchange(batch []*call) {
	for _, c := range batch {
		c.err = p.connection.Send(c.command, c.args...)
	}
	failed := p.connection.Flush()
	for _, c := range batch {
		if failed == nil && c.err == nil {
			c.reply, c.err = p.connection.Receive()
		} else if c.err == nil {
			c.err = failed
		}
		c.done <- struct{}{}
	}
}
