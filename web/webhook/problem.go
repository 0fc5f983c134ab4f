package webhook

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/web/answer"
)

// retryAfter is the time after which senders should repeat.
const retryAfter = 5 * time.Second

// problem is an RFC 9457 problem document.
type problem struct {
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Detail string        `json:"detail,omitempty"`
	Code   string        `json:"code"`
	Retry  bool          `json:"retry"`
	Errors []bodyProblem `json:"errors,omitempty"`
}

type bodyProblem struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// refuse responds with the problem document of an error.
func refuse(w http.ResponseWriter, err error) {
	v := verdictOf(err)
	var list []bodyProblem
	for _, e := range answer.Invalids(err) {
		list = append(list, bodyProblem{e.Pointer, e.Detail})
	}
	write(w, v, list)
}

func write(w http.ResponseWriter, v verdict, list []bodyProblem) {
	if v.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	reply(w, v.status, "application/problem+json", problem{
		Title: http.StatusText(v.status), Status: v.status, Detail: v.detail, Code: v.code, Retry: v.retry, Errors: list,
	})
}

// reply writes a response. The headers prevent browsers from caching or
// sniffing a response, or showing it as a page.
func reply(w http.ResponseWriter, status int, mediaType string, body any) {
	b, err := json.Marshal(body)
	if err != nil { // cannot fail, because it consists of strings, numbers and times
		status, b = http.StatusInternalServerError, nil
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // the sender may be gone
}

// guarding contains the headers of every response. The slices are shared, and
// have no room to append to.
var guarding = http.Header{
	"Cache-Control":           {"no-store"},
	"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'; sandbox"},
	"Referrer-Policy":         {"no-referrer"},
	"X-Content-Type-Options":  {"nosniff"},
	"X-Robots-Tag":            {"noindex, nofollow"},
}

func guard(h http.Header) { maps.Copy(h, guarding) }
