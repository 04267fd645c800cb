package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gomodule/redigo/redis"
	"github.com/google/uuid"
)

const (
	queue          = "jobs"
	maxConnections = 64
)

// job is the record in Redis, a hash, and the answer to a client.
type job struct {
	ID        string `json:"id" redis:"id"`
	Type      string `json:"type" redis:"type"`
	ClientID  string `json:"client_id" redis:"client_id"`
	Status    string `json:"status" redis:"status"`
	CreatedAt int64  `json:"created_at" redis:"created_at"`
	EndedAt   int64  `json:"ended_at,omitempty" redis:"ended_at"`
	Result    string `json:"result,omitempty" redis:"result"`
}

// task is the element of the queue.
type task struct {
	ID   string `json:"id"`
	Work work   `json:"work"`
}

type ginService struct {
	settings settings
	pool     *redis.Pool
}

// newGin returns the routes, and starts a goroutine for each job in work.
func newGin(s settings) http.Handler {
	service := &ginService{s, &redis.Pool{
		MaxIdle: maxConnections, MaxActive: maxConnections, Wait: true, Dial: s.dial,
	}}
	for n := 0; n < s.concurrency; n++ {
		go service.work()
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.Recovery())
	router.POST("/api/jobs", service.submit)
	router.GET("/api/jobs/:id", service.status)
	return router
}

func recordKey(id string) string { return "job:" + id }

func (g *ginService) submit(c *gin.Context) {
	client := c.GetHeader("X-Client-Id")
	if client == "" {
		c.JSON(http.StatusBadRequest, gin.H{"error": "X-Client-Id is missing"})
		return
	}
	var s submission
	if err := c.ShouldBindJSON(&s); err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": err.Error()})
		return
	}
	w, err := parse(s)
	if err != nil {
		c.JSON(http.StatusUnprocessableEntity, gin.H{"error": err.Error()})
		return
	}
	record := job{
		ID: uuid.NewString(), Type: w.Type, ClientID: client, Status: "queued", CreatedAt: time.Now().Unix(),
	}
	if err := g.enqueue(record, w); err != nil {
		c.JSON(http.StatusServiceUnavailable, gin.H{"error": err.Error()})
		return
	}
	c.Header("Location", "/api/jobs/"+record.ID)
	c.JSON(http.StatusAccepted, record)
}

// enqueue writes the record and the element of the queue in one transaction.
func (g *ginService) enqueue(record job, w work) error {
	element, err := json.Marshal(task{record.ID, w})
	if err != nil {
		return err
	}
	connection := g.pool.Get()
	defer connection.Close()
	key := recordKey(record.ID)
	connection.Send("MULTI")
	connection.Send("HSET", redis.Args{}.Add(key).AddFlat(record)...)
	connection.Send("EXPIRE", key, g.settings.ttlSeconds)
	connection.Send("LPUSH", queue, element)
	_, err = connection.Do("EXEC")
	return err
}

func (g *ginService) status(c *gin.Context) {
	connection := g.pool.Get()
	defer connection.Close()
	values, err := redis.Values(connection.Do("HGETALL", recordKey(c.Param("id"))))
	var record job
	if err == nil {
		err = redis.ScanStruct(values, &record)
	}
	switch {
	case err != nil:
		c.JSON(http.StatusServiceUnavailable, gin.H{"error": err.Error()})
	case len(values) == 0:
		c.JSON(http.StatusNotFound, gin.H{"error": "no such job"})
	default:
		c.JSON(http.StatusOK, record)
	}
}

// work pops jobs and computes them, one at a time, on a connection of its own: BRPOP blocks it.
func (g *ginService) work() {
	connection, err := g.settings.dial()
	for err == nil {
		err = g.workOnce(connection)
	}
	fmt.Fprintln(os.Stderr, "worker:", err)
	os.Exit(1)
}

func (g *ginService) workOnce(connection redis.Conn) error {
	popped, err := redis.ByteSlices(redis.DoWithTimeout(connection, 10*time.Second, "BRPOP", queue, 5))
	if errors.Is(err, redis.ErrNil) {
		return nil
	}
	if err != nil {
		return err
	}
	var t task
	if err := json.Unmarshal(popped[1], &t); err != nil {
		return err
	}
	key := recordKey(t.ID)
	if _, err := connection.Do("HSET", key, "status", "running"); err != nil {
		return err
	}
	result := compute(t.Work)
	connection.Send("HSET", key, "status", "succeeded", "result", result, "ended_at", time.Now().Unix())
	_, err = connection.Do("EXPIRE", key, g.settings.ttlSeconds)
	return err
}
