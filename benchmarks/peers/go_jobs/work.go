package main

import (
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The largest work that is accepted, so that no request can occupy the process for minutes.
const (
	maxFactorial  = 10_000
	maxIterations = 10_000_000
	maxSleepMs    = 3_600_000
)

// submission is the body of POST /api/jobs.
type submission struct {
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// work is a checked submission.
type work struct {
	Type       string `json:"type"`
	N          int64  `json:"n,omitempty"`
	Data       string `json:"data,omitempty"`
	Iterations int    `json:"iterations,omitempty"`
	Ms         int    `json:"ms,omitempty"`
}

// parse checks a submission; its error is for the client.
func parse(s submission) (work, error) {
	w := work{Type: s.Type}
	if len(s.Payload) > 0 {
		if err := json.Unmarshal(s.Payload, &w); err != nil {
			return w, err
		}
	}
	w.Type = s.Type // whatever the payload says
	switch {
	case w.Type == "factorial" && (w.N < 0 || w.N > maxFactorial):
		return w, fmt.Errorf("n must be from 0 to %d", maxFactorial)
	case w.Type == "sha512" && (w.Iterations < 1 || w.Iterations > maxIterations):
		return w, fmt.Errorf("iterations must be from 1 to %d", maxIterations)
	case w.Type == "sleep" && (w.Ms < 0 || w.Ms > maxSleepMs):
		return w, fmt.Errorf("ms must be from 0 to %d", maxSleepMs)
	case w.Type != "factorial" && w.Type != "sha512" && w.Type != "sleep":
		return w, errors.New("type must be factorial, sha512 or sleep")
	}
	return w, nil
}

// compute returns n! in decimal; or the last digest, in hexadecimal, of the chain of SHA-512 that begins with
// the data and hashes the bytes of the digest before; or nothing, having slept.
func compute(w work) string {
	switch w.Type {
	case "factorial":
		return new(big.Int).MulRange(1, w.N).String()
	case "sleep":
		time.Sleep(time.Duration(w.Ms) * time.Millisecond)
		return ""
	}
	digest := []byte(w.Data)
	for n := 0; n < w.Iterations; n++ {
		sum := sha512.Sum512(digest)
		digest = sum[:]
	}
	return hex.EncodeToString(digest)
}
