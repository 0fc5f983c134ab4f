package async

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// StartAttempt is Start for an attempt that the test specifies.
func StartAttempt[T any](ctx context.Context, h *Hub, info activity.Info, o StartOptions, ask func(ctx context.Context, p Pending[T]) error) error {
	name, err := resultType[T]()
	if err != nil {
		return err
	}
	return h.starter.startActivity(ctx, info, o, name, func(ctx context.Context, c Callback) error { return ask(ctx, Pending[T]{c}) })
}

// DecodeRecord reads the record in an entry.
func DecodeRecord(e store.Entry) (*record.Record, error) {
	d, err := decodeEntry(e)
	return d.rec, err
}

// Counted returns the group of one entry. counted comes from the fields that a
// count decodes, and full from all fields.
func Counted(h *Hub, e store.Entry) (counted, full Group, countedErr, fullErr error) {
	of := func(e entry, err error) (Group, error) {
		if err != nil {
			return Group{}, err
		}
		return Group{State(e.rec.State), e.rec.ActivityType, h.classOf(e, time.Now()), 1, lifecycle.StateSince(e.rec)}, nil
	}
	c := countable{kept: []byte("from the entry before")}
	c.rec.Labels, c.rec.Paused, c.rec.Early = map[string]string{"a": "b"}, true, true
	counted, countedErr = of(c.decode(e))
	full, fullErr = of(decodeEntry(e))
	return counted, full, countedErr, fullErr
}

// EncodeRecord encodes a record into its entry.
func EncodeRecord(e store.Entry, r *record.Record) (store.Entry, error) {
	return entry{id: e.ID, version: e.Version, due: e.Due, rec: r}.encode()
}

// CallbackID returns the callback ID of a record's current round.
func CallbackID(e store.Entry, r *record.Record) string {
	return record.NewCallbackID(e.ID, r.Secret).Reveal()
}

var (
	ShortID     = shortID
	FailureMark = completer.FailureMark
	ToFailure   = asApplicationFailure
	Doubled     = lifecycle.Doubled
	EntryID     = record.EntryID

	RecalledFirst = recalledFirst
)

// TypeName returns the stored name of T.
func TypeName[T any]() (string, error) { return resultType[T]() }

// PoolOrder submits tasks to a pool with one slot while that slot is in use.
// PoolOrder returns the deadlines of the tasks in the order in which the pool
// ran them.
func PoolOrder(ctx context.Context, h *Hub, deadlines []time.Time) (order []time.Time) {
	p := h.runner.newPool(ctx)
	p.slots <- struct{}{}
	for _, d := range deadlines {
		p.submit(task{kind: aBeat, deadline: d, do: func() func() { order = append(order, d); return nil }})
	}
	<-p.slots
	p.wait()
	return order
}

// Urgency returns the time by which a hub should work on a claimed entry.
func Urgency(e store.Entry) time.Time { return read(e).urgency() }

// Race reports whether the race detector is on.
const Race = simRace

// Holder reports what an encoded body says about a callback ID.
func Holder(body []byte, callback string) (holds, sure bool) {
	c, ok := record.ParseCallbackID(callback)
	if !ok {
		return false, false
	}
	return c.Holds(body)
}

// RoundOf reports whether a callback ID belongs to one of the record's rounds.
func RoundOf(r *record.Record, callback string) bool {
	c, _ := record.ParseCallbackID(callback)
	current, before := c.RoundOf(r)
	return current || before != nil
}
