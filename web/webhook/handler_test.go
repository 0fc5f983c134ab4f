package webhook_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

func TestAnswers(t *testing.T) {
	r := newRig(t)
	id := start[Decision](r, async.StartOptions{})

	if a := r.do(request{method: "GET", path: "/" + id}); a.status != 200 || a.State != "waiting" || a.Outcome != "" {
		t.Errorf("the state at first: %d %s", a.status, a.body)
	}
	const body = `{"approved":true,"by":"` + secret + `","cents":9007199254740993}`
	for range 2 {
		a := r.post("/"+id+"/complete", body)
		if a.status != 200 || a.State != "closed" || a.Outcome != "result" || !strings.Contains(string(a.body), `"delivered":true`) {
			t.Errorf("complete: %d %s", a.status, a.body)
		}
	}
	r.post("/"+id+"/complete", `{"approved":false}`).want(t, "another answer", 409, "settled")
	r.post("/"+id+"/fail", `{"message":"no"}`).want(t, "a failure after it", 409, "settled")
	r.post("/"+id+"/heartbeat", ``).want(t, "a heartbeat after it", 410, "closed")
	if n := len(r.temporal.Completed()); n != 1 {
		t.Errorf("%d outcomes were delivered, want 1", n)
	}

	for _, action := range []string{"fail", "reject"} {
		id := start[Decision](r, async.StartOptions{})
		if a := r.post("/"+id+"/"+action, `{"message":"`+secret+`","type":"Declined","details":{"n":9007199254740993}}`); a.status != 200 || a.Outcome != "failure" {
			t.Errorf("%s: %d %s", action, a.status, a.body)
		}
		sent := r.temporal.Completed()
		f := sent[len(sent)-1].Outcome.Failure
		info := f.GetApplicationFailureInfo()
		if f.GetMessage() != secret || info.GetType() != "Declined" || info.GetNonRetryable() != (action == "reject") ||
			string(info.GetDetails().GetPayloads()[0].GetData()) != `{"n":9007199254740993}` {
			t.Errorf("%s delivered %v", action, f)
		}
	}
	none := start[async.None](r, async.StartOptions{})
	if a := r.do(request{method: "POST", path: "/" + none + "/complete", header: map[string]string{"Content-Type": ""}}); a.status != 200 {
		t.Errorf("None with no body: %d %s", a.status, a.body)
	}
}

// Heartbeats return the signals, and a cancellation is accepted only if it was
// requested.
func TestHeartbeatAndCancel(t *testing.T) {
	r := newRig(t)
	id := start[Decision](r, async.StartOptions{})
	if a := r.do(request{method: "POST", path: "/" + id + "/heartbeat", header: map[string]string{"Content-Type": ""}}); a.status != 200 || len(a.Signals) != 0 || a.State != "waiting" {
		t.Errorf("a heartbeat: %d %s", a.status, a.body)
	}
	r.post("/"+id+"/cancel", `{"details":"`+secret+`"}`).want(t, "a cancellation that nobody requested", 409, "cancel-not-requested")
	if a := r.post("/"+id+"/heartbeat", `{"details":{"percent":50}}`); a.status != 200 {
		t.Errorf("a heartbeat with details: %d %s", a.status, a.body)
	}
	for body, pointer := range map[string]string{`{"detail":1}`: "/detail", `[]`: "", `{"details":1,"details":2}`: "/details"} {
		a := r.post("/"+id+"/heartbeat", body)
		if a.want(t, body, 422, "invalid"); len(a.Errors) != 1 || a.Errors[0].Pointer != pointer {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	r.wantWaiting(id)
}

// Each bad input gets a problem document, and the activity continues to wait.
func TestBadInput(t *testing.T) {
	r := newRig(t, func(o *webhook.Options) { o.MaxBody = 1000 })
	id := start[Decision](r, async.StartOptions{})
	good := `{"approved":true}`
	for _, c := range []struct {
		name    string
		q       request
		status  int
		code    string
		pointer string
	}{
		{name: "an empty object", q: request{body: `{}`}, status: 422, code: "invalid", pointer: "/approved"},
		{name: "null", q: request{body: `null`}, status: 422, code: "invalid", pointer: ""},
		{name: "a null field", q: request{body: `{"approved":null}`}, status: 422, code: "invalid", pointer: "/approved"},
		{name: "a misspelt name", q: request{body: `{"approved":true,"aproved":true}`}, status: 422, code: "invalid", pointer: "/aproved"},
		{name: "another case", q: request{body: `{"approved":true,"By":"` + secret + `"}`}, status: 422, code: "invalid", pointer: "/By"},
		{name: "a name twice", q: request{body: `{"approved":false,"approved":true}`}, status: 422, code: "invalid", pointer: "/approved"},
		{name: "text after the value", q: request{body: good + " " + secret}, status: 422, code: "invalid", pointer: ""},
		{name: "no body", q: request{body: ``}, status: 422, code: "invalid", pointer: ""},
		{name: "not UTF-8", q: request{body: "{\"approved\":true,\"by\":\"\xff\"}"}, status: 422, code: "invalid", pointer: ""},
		{name: "deep", q: request{body: strings.Repeat("[", 100) + strings.Repeat("]", 100)}, status: 422, code: "invalid", pointer: ""},
		{name: "a form", q: request{body: "approved=true", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, status: 415, code: "media-type", pointer: ""},
		{name: "JSON as text", q: request{body: good, header: map[string]string{"Content-Type": "text/plain"}}, status: 415, code: "media-type", pointer: ""},
		{name: "no media type", q: request{body: good, header: map[string]string{"Content-Type": ""}}, status: 415, code: "media-type", pointer: ""},
		{name: "another charset", q: request{body: good, header: map[string]string{"Content-Type": "application/json; charset=iso-8859-1"}}, status: 415, code: "media-type", pointer: ""},
		{name: "protobuf for a type that is none", q: request{body: good, header: map[string]string{"Content-Type": "application/x-protobuf"}}, status: 415, code: "media-type", pointer: ""},
		{name: "over the limit", q: request{body: good + strings.Repeat(" ", 1000)}, status: 413, code: "body-too-large", pointer: ""},
		{name: "an idempotency key that is too long", q: request{body: good, header: map[string]string{"Idempotency-Key": strings.Repeat("k", 256)}}, status: 400, code: "idempotency-key", pointer: ""},
		{name: "an empty idempotency key", q: request{body: good, header: map[string]string{"Idempotency-Key": `""`}}, status: 400, code: "idempotency-key", pointer: ""},
		{name: "an idempotency key in another alphabet", q: request{body: good, header: map[string]string{"Idempotency-Key": "clé"}}, status: 400, code: "idempotency-key", pointer: ""},
		{name: "PUT", q: request{method: "PUT", body: good}, status: 405, code: "method", pointer: ""},
		{name: "DELETE", q: request{method: "DELETE"}, status: 405, code: "method", pointer: ""},
		{name: "GET", q: request{method: "GET"}, status: 405, code: "method", pointer: ""},
		{name: "a page of another site", q: request{body: good, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, status: 403, code: "origin", pointer: ""},
		{name: "another site, in an old browser", q: request{body: good, header: map[string]string{"Origin": "https://evil.example"}}, status: 403, code: "origin", pointer: ""},
		{name: "an unknown action", q: request{path: "/" + id + "/delete", body: good}, status: 404, code: "not-found", pointer: ""},
		{name: "a deeper path", q: request{path: "/" + id + "/complete/now", body: good}, status: 404, code: "not-found", pointer: ""},
		{name: "a slash at the end", q: request{method: "GET", path: "/" + id + "/"}, status: 404, code: "not-found", pointer: ""},
		{name: "no token", q: request{method: "GET", path: "/"}, status: 404, code: "not-found", pointer: ""},
		{name: "an unknown ID", q: request{path: "/" + strings.Repeat("A", len(id)) + "/complete", body: good}, status: 404, code: "not-found", pointer: ""},
		{name: "a wrong secret", q: request{path: "/" + id[:len(id)-22] + strings.Repeat("A", 22) + "/complete", body: good}, status: 404, code: "not-found", pointer: ""},
		{name: "a cut ID", q: request{path: "/" + id[:len(id)-1] + "/complete", body: good}, status: 404, code: "not-found", pointer: ""},
		{name: "a failure without a message", q: request{path: "/" + id + "/fail", body: `{"message":""}`}, status: 422, code: "invalid", pointer: ""},
		{name: "a failure with another name", q: request{path: "/" + id + "/reject", body: `{"message":"m","kind":"` + secret + `"}`}, status: 422, code: "invalid", pointer: "/kind"},
		{name: "a failure as a form", q: request{path: "/" + id + "/fail", body: `message=m`, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, status: 415, code: "media-type", pointer: ""},
		{name: "an empty form that cancels", q: request{path: "/" + id + "/cancel", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, status: 415, code: "media-type", pointer: ""},
		{name: "an empty form that beats", q: request{path: "/" + id + "/heartbeat", header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}}, status: 415, code: "media-type", pointer: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.q.method == "" {
				c.q.method = http.MethodPost
			}
			if c.q.path == "" {
				c.q.path = "/" + id + "/complete"
			}
			a := r.do(c.q)
			a.want(t, c.name, c.status, c.code)
			if a.Retry {
				t.Error("the sender is asked to repeat it")
			}
			if c.code == "invalid" && (len(a.Errors) == 0 || a.Errors[0].Pointer != c.pointer || a.Errors[0].Detail == "") {
				t.Errorf("the errors are %v, want one at %q", a.Errors, c.pointer)
			}
			if c.status == 405 && a.header.Get("Allow") != "POST, OPTIONS" {
				t.Errorf("Allow is %q", a.header.Get("Allow"))
			}
		})
	}
	r.wantWaiting(id)
	if n := len(r.temporal.Completed()); n != 0 {
		t.Errorf("%d outcomes were delivered", n)
	}
}

// GET and HEAD act on no route, whatever they contain.
func TestReadingActsNever(t *testing.T) {
	r := newRig(t)
	id := start[Decision](r, async.StartOptions{})
	for _, method := range []string{"GET", "HEAD"} {
		for _, action := range []string{"complete", "fail", "reject", "cancel", "heartbeat"} {
			a := r.do(request{method: method, path: "/" + id + "/" + action + "?approved=true", body: `{"approved":true}`, header: map[string]string{"Content-Type": "application/json"}})
			if a.status != 405 {
				t.Errorf("%s of %s: status %d", method, action, a.status)
			}
		}
		if a := r.do(request{method: method, path: "/" + id}); a.status != 200 {
			t.Errorf("%s of the state: status %d", method, a.status)
		}
	}
	r.wantWaiting(id)
}

// If the store is unreachable, the sender only has to repeat the answer.
func TestStoreAway(t *testing.T) {
	r := newRig(t)
	id := start[Decision](r, async.StartOptions{})
	r.store.set(true)
	for _, q := range []request{
		{method: "GET", path: "/" + id},
		{method: "POST", path: "/" + id + "/complete", body: `{"approved":true}`},
		{method: "POST", path: "/" + id + "/fail", body: `{"message":"m"}`},
		{method: "POST", path: "/" + id + "/heartbeat"},
	} {
		a := r.do(q)
		if a.want(t, q.path, 503, "unavailable"); !a.Retry {
			t.Errorf("%s: the sender isn't asked to repeat it", q.path)
		}
	}
	r.store.set(false)
	if a := r.post("/"+id+"/complete", `{"approved":true}`); a.status != 200 {
		t.Errorf("the repeat: %d %s", a.status, a.body)
	}
}

// If this process does not know a type yet, the sender has made no mistake.
func TestUnknownType(t *testing.T) {
	r := newRig(t)
	id := start[Other](r, async.StartOptions{})
	a := r.post("/"+id+"/complete", `{"n":1}`)
	if a.want(t, "a type that the handler doesn't know", 503, "unknown-type"); !a.Retry {
		t.Error("the sender isn't asked to repeat it")
	}
	if log := r.log.String(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "webhook_test.Other") {
		t.Errorf("the log doesn't name the type:\n%s", log)
	}
	r.wantWaiting(id)
}

// The idempotency key is bound to the body.
func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	id := start[Decision](r, async.StartOptions{})
	send := func(key, body string) response {
		return r.do(request{method: "POST", path: "/" + id + "/complete", body: body, header: map[string]string{"Idempotency-Key": key}})
	}
	for _, key := range []string{`"k-1"`, `k-1`} {
		if a := send(key, `{"approved":true}`); a.status != 200 {
			t.Errorf("key %s: %d %s", key, a.status, a.body)
		}
	}
	send(`"k-1"`, `{"approved":false}`).want(t, "the same key with another body", 409, "settled")
	send(`"k-2"`, `{"approved":true}`).want(t, "another key", 409, "settled")
}

func TestCORS(t *testing.T) {
	r := newRig(t, func(o *webhook.Options) { o.Origins = []string{"https://app.example.com"} })
	id := start[Decision](r, async.StartOptions{})
	for origin, allowed := range map[string]string{
		"https://app.example.com":      "https://app.example.com",
		"https://app.example.com.evil": "",
		"http://app.example.com":       "",
		"null":                         "",
		"":                             "",
	} {
		a := r.do(request{method: "OPTIONS", path: "/" + id + "/complete", header: map[string]string{"Origin": origin, "Access-Control-Request-Method": "POST"}})
		if got := a.header.Get("Access-Control-Allow-Origin"); a.status != 204 || got != allowed || a.header.Get("Vary") != "Origin" {
			t.Errorf("a preflight of %q: status %d, allowed %q", origin, a.status, got)
		}
		if a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Error("credentials are allowed")
		}
	}
	a := r.do(request{method: "POST", path: "/" + id + "/complete", body: `{"approved":true}`, header: map[string]string{"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"}})
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Errorf("a page of the allowed origin: %d %s", a.status, a.body)
	}
}

// While Temporal is away, the answer is accepted, and the response says that it
// is not delivered.
func TestNotDeliveredYet(t *testing.T) {
	r := newRig(t)
	id := start[Decision](r, async.StartOptions{})
	settles, err := async.New(async.Options{Store: r.store})
	if err != nil {
		t.Fatal(err)
	}
	front, err := webhook.New(settles, webhook.Options{Types: []answer.Type{mustFor[Decision](t)}, Logger: r.logger})
	if err != nil {
		t.Fatal(err)
	}
	q := request{method: "POST", path: "/" + id + "/complete", body: `{"approved":true}`}
	a := r.serve(front, q)
	r.api.check(t, q, a)
	if a.status != 200 || a.State != "settled" || !strings.Contains(string(a.body), `"delivered":false`) {
		t.Errorf("a hub that settles only: %d %s", a.status, a.body)
	}
}

// If Temporal hangs, the answer is accepted within Options.Wait, and delivered
// later.
func TestTemporalHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var hangs atomic.Bool
		hangs.Store(true)
		r.temporal.CompleteFunc = func(ctx context.Context, _ completer.Target, _ completer.Outcome) error {
			if hangs.Load() {
				<-ctx.Done()
			}
			return ctx.Err()
		}
		id := start[Decision](r, async.StartOptions{})
		began := time.Now()
		a := r.post("/"+id+"/complete", `{"approved":true}`)
		if took := time.Since(began); a.status != 200 || !strings.Contains(string(a.body), `"delivered":false`) || took > 2*time.Second {
			t.Errorf("after %v: %d %s", took, a.status, a.body)
		}
		hangs.Store(false)
		time.Sleep(time.Hour)
		if _, err := r.hub.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a := r.do(request{method: "GET", path: "/" + id}); !strings.Contains(string(a.body), `"delivered":true`) {
			t.Errorf("an hour later: %d %s", a.status, a.body)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	h := newRig(t).hub
	typ := mustFor[Decision](t)
	key := []byte(strings.Repeat("ab", 16))
	for name, o := range map[string]webhook.Options{
		"Types is required":                {},
		"got the zero Type":                {Types: []answer.Type{{}}},
		"got expenses.Decision twice":      {Types: []answer.Type{typ, typ}},
		"MaxBody must be between":          {Types: []answer.Type{typ}, MaxBody: -1},
		"64 MiB":                           {Types: []answer.Type{typ}, MaxBody: 1 << 40},
		"BodyTimeout must be positive":     {Types: []answer.Type{typ}, BodyTimeout: -1},
		"Wait must be positive":            {Types: []answer.Type{typ}, Wait: -1},
		`exact, such as https://app`:       {Types: []answer.Type{typ}, Origins: []string{"*"}},
		`got "https://*.example.com"`:      {Types: []answer.Type{typ}, Origins: []string{"https://*.example.com"}},
		`got "https://example.com/"`:       {Types: []answer.Type{typ}, Origins: []string{"https://example.com/"}},
		`got "null"`:                       {Types: []answer.Type{typ}, Origins: []string{"null"}},
		"Keys.Keys is required":            {Types: []answer.Type{typ}, Keys: &webhook.Keys{}},
		`Keys.Active must be a name`:       {Types: []answer.Type{typ}, Keys: &webhook.Keys{Keys: map[string][]byte{"a": key}}},
		`Keys.Keys["a"] must have 32 byte`: {Types: []answer.Type{typ}, Keys: &webhook.Keys{Keys: map[string][]byte{"a": key[:31]}, Active: "a"}},
		`Keys.Keys["a"] must be random`:    {Types: []answer.Type{typ}, Keys: &webhook.Keys{Keys: map[string][]byte{"a": make([]byte, 32)}, Active: "a"}},
		`got "a.b"`:                        {Types: []answer.Type{typ}, Keys: &webhook.Keys{Keys: map[string][]byte{"a.b": key}, Active: "a.b"}},
	} {
		if _, err := webhook.New(h, o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New returned %v, want an error with %q", err, name)
		}
	}
	if _, err := webhook.New(nil, webhook.Options{Types: []answer.Type{typ}}); err == nil {
		t.Error("a nil hub is accepted")
	}
}

// Status returns the status and the code of each error, even if the error is
// wrapped.
func TestStatus(t *testing.T) {
	_, invalid := mustFor[Decision](t).Decode("application/json", []byte("{}"))
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{err: nil, status: 200, code: "ok"},
		{err: async.ErrNotFound, status: 404, code: "not-found"},
		{err: &async.TypeMismatchError{Want: "a", Got: "b"}, status: 422, code: "type-mismatch"},
		{err: async.ErrInvalidResult, status: 422, code: "invalid"},
		{err: async.ErrInvalidFailure, status: 422, code: "invalid"},
		{err: invalid, status: 422, code: "invalid"},
		{err: async.ErrTooLarge, status: 413, code: "too-large"},
		{err: &http.MaxBytesError{Limit: 1}, status: 413, code: "body-too-large"},
		{err: async.ErrSettled, status: 409, code: "settled"},
		{err: async.ErrSuperseded, status: 409, code: "superseded"},
		{err: async.ErrClosed, status: 410, code: "closed"},
		{err: fmt.Errorf("%w: %w", async.ErrClosed, async.ErrTypeMismatch), status: 410, code: "closed"},
		{err: fmt.Errorf("%w: %w", async.ErrClosed, async.ErrExpired), status: 410, code: "closed"},
		{err: completer.ErrCancelNotRequested, status: 409, code: "cancel-not-requested"},
		{err: async.ErrKeyInUse, status: 409, code: "key-in-use"},
		{err: async.ErrJournalFull, status: 409, code: "journal-full"},
		{err: answer.ErrMediaType, status: 415, code: "media-type"},
		{err: webhook.ErrBadLink, status: 404, code: "bad-link"},
		{err: webhook.ErrExpiredLink, status: 410, code: "expired-link"},
		{err: webhook.ErrNotAllowed, status: 403, code: "not-allowed"},
		{err: webhook.ErrSignature, status: 401, code: "signature"},
		{err: errors.Join(async.ErrCancelRequested, async.ErrPaused), status: 200, code: "ok"},
		{err: async.ErrReset, status: 200, code: "ok"},
		{err: errors.New("anything"), status: 503, code: "unavailable"},
		{err: webhook.ErrIgnore, status: 503, code: "unavailable"},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("complete: %w", err)
		}
		if status, code := webhook.Status(err); status != c.status || code != c.code {
			t.Errorf("%v: %d %s, want %d %s", err, status, code, c.status, c.code)
		}
	}
}

// No response and no log line contains the task token.
func TestNoTaskToken(t *testing.T) {
	r := newRig(t)
	id := start[Decision](r, async.StartOptions{Labels: map[string]string{"l": secret}, Key: "order-" + secret})
	r.post("/"+id+"/complete", `{"approved":true,"by":"`+secret+`"}`)
	r.do(request{method: "GET", path: "/" + id})
	for _, call := range r.temporal.Completed() {
		for _, text := range []string{string(call.Target.TaskToken), base64.StdEncoding.EncodeToString(call.Target.TaskToken)} {
			if len(text) > 0 {
				r.secrets = append(r.secrets, text)
			}
		}
	}
	if len(r.secrets) < 3 {
		t.Fatal("there was no task token to look for")
	}
	if !slices.Contains(strings.Fields(r.log.String()), "level=DEBUG") {
		t.Error("nothing was logged at debug level")
	}
}
