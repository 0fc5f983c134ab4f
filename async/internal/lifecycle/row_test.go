package lifecycle

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

const (
	sec = int64(time.Second)
	key = "order-7"
)

var noon = time.Unix(1_800_000_000, 0)

// testPolicy has a hook for every kind of notice. The secrets of testPolicy are
// all "new", and it uses no jitter.
func testPolicy() Policy {
	p := Policy{
		Now: noon, Retention: time.Hour, ClaimTime: 10 * time.Second, CanAsk: true,
		NewSecret: func() []byte { return []byte("new") },
		Digest:    func(id string, secret []byte) []byte { return []byte(id + string(secret)) },
		Jitter:    func(d time.Duration) time.Duration { return d },
	}
	for k := record.NoticeDelivered; k <= record.NoticeReset; k++ {
		p.Listens = p.Listens.With(k)
	}
	return p
}

// attempt returns the n-th attempt as if it were the first of its entry.
func attempt(n int32, change ...func(r *record.Record)) *record.Record {
	r := &record.Record{
		Namespace: "ns", WorkflowId: "w", RunId: "run1", ActivityId: "a", Scheduled: 5 * sec,
		Attempt: n, Started: int64(n) * 10 * sec, TaskToken: []byte{byte(n)}, Deadline: noon.Add(time.Hour).UnixNano(),
		State: record.Waiting, ResultType: "A", Secret: []byte("old"),
	}
	for _, c := range change {
		c(r)
	}
	return r
}

func awaitsB(r *record.Record) { r.ResultType = "B" }
func once(r *record.Record)    { r.Once = true }
func keyed(r *record.Record)   { r.Key = key }

// nextRun makes r the record of an activity in a later run. otherWorkflow makes
// it one in another workflow, and afterReset one in a run that a workflow reset
// has begun.
func nextRun(r *record.Record) {
	r.Key, r.RunId, r.Scheduled, r.Started = key, "run2", 100*sec, 101*sec
}
func otherWorkflow(r *record.Record) {
	r.Key, r.WorkflowId, r.RunId, r.Scheduled, r.Started = key, "w2", "run2", 100*sec, 101*sec
}
func afterReset(r *record.Record) { r.Key, r.RunId, r.Started = key, "run2", 101*sec }

func handedOff(r *record.Record) { r.HandedOffStarted = r.Started }

// settledOn returns a record with an outcome that may have been sent.
func settledOn(kind record.Kind, change ...func(r *record.Record)) *record.Record {
	r := attempt(1, append([]func(*record.Record){handedOff}, change...)...)
	testPolicy().Settle(r, &record.Outcome{Kind: kind, Mark: "mark", Fingerprint: []byte("print")})
	return r
}

func note(at int64, kind, by string) *record.Note {
	return &record.Note{At: noon.UnixNano() + at, Kind: kind, By: by}
}

func closedBy(end record.End, r *record.Record) *record.Record {
	testPolicy().Close(r, end)
	r.Notices = nil
	return r
}

// row is a case of the state table.
type row struct {
	t    *testing.T
	p    Policy
	rec  *record.Record
	said Words
}

// arrives makes an attempt arrive at the record, and checks what Start does
// next and whether a round begins.
func (c *row) arrives(now *record.Record, next Next, newRound bool) Arrival {
	c.t.Helper()
	secret := string(c.rec.Secret)
	a, err := c.p.Arrive("id", c.rec, now, c.said)
	if err != nil || a.Next != next || (string(c.rec.Secret) != secret) != newRound {
		c.t.Errorf("Arrive is %+v, %v with the secret %q, want next %d, a new round: %t", a, err, c.rec.Secret, next, newRound)
	}
	return a
}

// refused checks that the rule returns an error and changes nothing.
func (c *row) refused(now *record.Record, want error) {
	c.t.Helper()
	before := proto.CloneOf(c.rec)
	if _, err := c.p.Arrive("id", c.rec, now, c.said); !errors.Is(err, want) {
		c.t.Errorf("Arrive returned %v, want %v", err, want)
	}
	if !proto.Equal(before, c.rec) {
		c.t.Errorf("the record has changed from %v to %v", before, c.rec)
	}
}

// notified checks that there is exactly this notice.
func (c *row) notified(kind record.NoticeKind, why record.End) {
	c.t.Helper()
	if n := c.rec.Notices; len(n) != 1 || n[0].Kind != kind || n[0].Reason != why || string(n[0].Secret) != "old" {
		c.t.Errorf("the notices are %v, want one: %v, %v, of the old round", n, kind, why)
	}
}

func (c *row) is(state record.State, end record.End) {
	c.t.Helper()
	if c.rec.State != state || c.rec.End != end {
		c.t.Errorf("the record is %v, %v, want %v, %v", c.rec.State, c.rec.End, state, end)
	}
}

func runs(r *record.Record) *Word { return &Word{Pending: true, Running: true, Started: r.Started} }

// early returns a record of an answer that arrived before its activity.
func early(kind record.Kind) *record.Record {
	r := &record.Record{Namespace: "ns", Key: key, Early: true, State: record.Waiting, ResultType: "A", Secret: []byte("old")}
	testPolicy().Settle(r, &record.Outcome{Kind: kind, Mark: "mark", Fingerprint: []byte("print")})
	return r
}

func (c *row) offered(r *record.Record, kind record.Kind, print string, want Answer) {
	c.t.Helper()
	if got := Offered(r, kind, []byte(print)); got != want {
		c.t.Errorf("%v %q, offered to %v, is answered with %d, want %d", kind, print, r.State, got, want)
	}
}

// notFound checks the verdict on an outcome whose delivery by token gets the
// answer NotFound.
func (c *row) notFound(kind record.Kind, w Word, end record.End, byID bool) {
	c.t.Helper()
	r := settledOn(kind)
	v, id := AfterNotFound(r, w)
	if v.End != end || id != byID {
		c.t.Errorf("the verdict on a %v is %+v, by ID %t, want end %v, by ID %t", kind, v, id, end, byID)
	}
	if !byID {
		c.p.Conclude(r, v)
		if (r.State == record.Closed) != (end != record.NoEnd) {
			c.t.Errorf("the record is %v after %+v", r.State, v)
		}
	}
}

// beating returns a record whose pump beats, with these details.
func beating(details string) *record.Record {
	r := attempt(1, handedOff)
	r.Details = []byte(details)
	return r
}

// beaten records a beat, and checks what decides about the next beat.
func (c *row) beaten(before []byte, b Beat, want NextBeat) {
	c.t.Helper()
	if got := c.p.Beaten(c.rec, before, b); got != want {
		c.t.Errorf("after %+v the next beat is decided by %v, want %v", b, got, want)
	}
}

func (c *row) workerSends(w Word, want bool) {
	c.t.Helper()
	if got := WorkerSends(c.rec, w); got != want {
		c.t.Errorf("the worker's beat carries the record's details: %t, want %t (%v)", got, want, c.rec)
	}
}

func (c *row) passing(r *record.Record, settled bool, w *Word, want Passing) {
	c.t.Helper()
	if got := BeforeOutcome(r, settled, w); got != want {
		c.t.Errorf("pending details: %v, want %v (settled just now: %t, Temporal's word: %+v)", got, want, settled, w)
	}
}
