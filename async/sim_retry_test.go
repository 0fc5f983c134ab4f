package async

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// now returns the time by the process's clock, in the store's form.
func (p *simProc) now() int64 { return time.Now().Add(p.skew).UnixNano() }

// opRetry makes an operator retry an entry.
func (w *simWorld) opRetry() {
	ids := slices.Sorted(maps.Keys(w.records))
	if len(ids) == 0 {
		return
	}
	id := ids[w.rng.n(len(ids))]
	if len(w.asks) > 0 && w.rng.chance(500) {
		id = w.asks[w.rng.n(len(w.asks))].entry
	}
	p := w.proc()
	f := w.push("retry", p)
	defer w.pop()
	c, err := p.hub.Find(context.Background(), id)
	before := w.records[id]
	switch {
	case err == nil && w.broken.retry != nil:
		err = w.broken.retry(c)
	case err == nil:
		err = c.Retry(context.Background())
	}
	w.logf("%s: Retry: %v", p.name, err)
	w.shownError("Retry", err)
	if f.rough || before == nil {
		return
	}
	after := w.records[id]
	switch changed := !proto.Equal(before, after); {
	case State(before.State) == Settled && !before.Early:
		w.expect(err == nil && State(after.State) == Settled && after.Delivery.Next == p.now(), "Settled, Retry: due now")
	case len(before.Notices) > 0 && before.NoticeTries > 0 && State(before.State) <= Closed:
		w.expect(err == nil && after.NextNotice == p.now(), "a hook failed, Retry: called again at once")
	default:
		w.expect(!changed && (err == nil) == (before.End == record.EndDelivered), "nothing to retry, Retry: nothing changes")
	}
}

// simBrokenRetry are versions that retry entries wrongly.
var simBrokenRetry = map[string]simBroken{
	"an early result retried":     {by: "G1", retry: retryEarly},
	"a delivered outcome retried": {by: "G2", retry: retryClosed},
}

// retryClosed delivers an outcome again that Temporal has accepted.
func retryClosed(c Callback) error {
	_, err := c.update(context.Background(), func(e entry) (entry, bool, error) {
		if e.rec.State != record.Closed || e.rec.End != record.EndDelivered {
			return e, false, nil
		}
		e.rec.State, e.rec.End, e.rec.Ended, e.rec.TaskToken = record.Settled, record.NoEnd, 0, []byte("spent")
		e.rec.Delivery.Next = time.Now().UnixNano()
		return e, true, nil
	})
	return err
}

// retryEarly makes an early result due although its activity has not arrived.
func retryEarly(c Callback) error {
	_, err := c.update(context.Background(), func(e entry) (entry, bool, error) {
		if e.rec.State != record.Settled {
			return e, false, nil
		}
		e.rec.Delivery.Next = time.Now().UnixNano()
		return e, true, nil
	})
	return err
}
