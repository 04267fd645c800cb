package main

import (
	crypto "crypto/rand"
	"encoding/hex"
	"io"
	"math/rand"
	"strings"
	"time"
)

// source is one worker's own random numbers: bytes from the system, or when tuned from no system call.
type source struct {
	rng   *rand.Rand
	bytes io.Reader
}

func newSource(n int, tuned bool) source {
	rng := rand.New(rand.NewSource(time.Now().UnixNano() + int64(n)))
	if tuned {
		return source{rng, rng}
	}
	return source{rng, crypto.Reader}
}

// uuids appends `count` UUIDv4 lines to out, drawing all their random bytes at once.
func (s source) uuids(out []byte, count int) []byte {
	raw := make([]byte, 16*count)
	if _, err := io.ReadFull(s.bytes, raw); err != nil {
		panic(err)
	}
	if need := len(out) + 37*count; cap(out) < need {
		out = make([]byte, 0, need)
	}
	out = out[:37*count]
	for n := 0; n < count; n++ {
		id, line := raw[16*n:16*n+16], out[37*n:37*n+37]
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		hex.Encode(line[0:8], id[0:4])
		hex.Encode(line[9:13], id[4:6])
		hex.Encode(line[14:18], id[6:8])
		hex.Encode(line[19:23], id[8:10])
		hex.Encode(line[24:36], id[10:16])
		line[8], line[13], line[18], line[23], line[36] = '-', '-', '-', '-', '\n'
	}
	return out
}

// edit replaces two random hex digits of the body by two others.
func (s source) edit(body []byte) {
	for n := 0; n < 2; n++ {
		at := s.rng.Intn(len(body))
		for strings.IndexByte(hexDigits, body[at]) < 0 {
			at = s.rng.Intn(len(body))
		}
		old := strings.IndexByte(hexDigits, body[at])
		body[at] = hexDigits[(old+1+s.rng.Intn(15))%16]
	}
}
