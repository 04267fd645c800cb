package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const unsigned = "UNSIGNED-PAYLOAD"

// signer makes requests signed with AWS Signature Version 4 (IAM User Guide, "Create a signed AWS API
// request"): path style, the day's signing key kept, the payload unsigned unless SIGN_PAYLOAD is set.
type signer struct {
	job  job
	base *url.URL
	lock sync.Mutex
	day  string
	key  []byte
}

func newSigner(j job) *signer {
	base, err := url.Parse(j.s3Endpoint)
	if err != nil {
		panic(err)
	}
	return &signer{job: j, base: base}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (s *signer) keyOf(day string) []byte {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.day != day {
		s.day = day
		s.key = mac(mac(mac(mac([]byte("AWS4"+s.job.secretKey), day), s.job.region), "s3"), "aws4_request")
	}
	return s.key
}

// request returns a signed request, its body not yet attached. Keys are of the form that needs no escaping.
func (s *signer) request(method, key string, body []byte, now time.Time) *http.Request {
	payload := unsigned
	if s.job.signPayload {
		sum := sha256.Sum256(body)
		payload = hex.EncodeToString(sum[:])
	}
	path := "/" + s.job.bucket + "/" + key
	stamp := now.UTC().Format("20060102T150405Z")
	scope := stamp[:8] + "/" + s.job.region + "/s3/aws4_request"
	canonical := sha256.Sum256([]byte(method + "\n" + path + "\n\nhost:" + s.base.Host +
		"\nx-amz-content-sha256:" + payload + "\nx-amz-date:" + stamp +
		"\n\nhost;x-amz-content-sha256;x-amz-date\n" + payload))
	var text strings.Builder
	text.WriteString("AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n")
	text.WriteString(hex.EncodeToString(canonical[:]))
	signature := hex.EncodeToString(mac(s.keyOf(stamp[:8]), text.String()))
	return &http.Request{
		Method: method,
		URL:    &url.URL{Scheme: s.base.Scheme, Host: s.base.Host, Path: path},
		Host:   s.base.Host,
		Header: http.Header{
			"X-Amz-Date":           {stamp},
			"X-Amz-Content-Sha256": {payload},
			"Authorization": {"AWS4-HMAC-SHA256 Credential=" + s.job.accessKey + "/" + scope +
				", SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + signature},
		},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}
