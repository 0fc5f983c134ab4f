package async

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// Classes of Done that several operations share.
const (
	classOK       = "ok"
	classFailed   = "failed"
	classPanicked = "panicked"
	classNotRun   = "not run"
)

// ClassDelivered is the class of an OpDeliver whose outcome Temporal has
// accepted. ClassAccepted is the class of an OpSettle whose outcome was
// accepted.
const (
	ClassDelivered = "delivered"
	ClassAccepted  = "accepted"
)

// after returns the known state of an entry when the operation has ended.
func (o *observation) after(e entry) Info {
	if o.done == nil {
		o.seenAfter(e)
		return Info{}
	}
	return o.of.info(e)
}

// seenAfter is like after, for a counted operation.
func (o *observation) seenAfter(e entry) {
	if o.counted.op != "" && e.rec != nil {
		o.counted.about = subjectOf(e.rec)
	}
}

func handOffClass(err error) string {
	if err != nil {
		return classFailed
	}
	return "asked"
}

// accepted ends the observation of an outcome that the store has accepted.
func (o *observation) accepted(e entry, now time.Time) {
	if !o.open() {
		return
	}
	o.end(Done{Class: ClassAccepted, Lag: lag(fromNano(e.rec.RoundBegan), now), Info: o.after(e)})
}

// delivery ends the observation of a try to deliver.
func (o *observation) delivery(e entry, v verdict) {
	if !o.open() {
		return
	}
	class := v.Class
	if v.End != record.NoEnd {
		class = endClass(v.End)
	}
	o.end(Done{
		Class: class, Count: int(e.rec.Delivery.GetTries()) + 1,
		Lag: lag(fromNano(e.rec.Outcome.GetSettled()), time.Now()), Info: o.after(e),
	})
}

// lag returns the time since a moment, or zero if the moment is not known.
func lag(since, now time.Time) time.Duration {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since))
}

func endClass(end record.End) string {
	switch end {
	case record.EndDelivered:
		return ClassDelivered
	case record.EndTimedOut:
		return "expired"
	case record.EndUnknown:
		return "unknown end"
	default:
		return "over"
	}
}

// verdictClass names the result for an offered outcome. An error may wrap an
// error of the application, whose Is method may panic.
func verdictClass(err error) string {
	class, failed := guarded("an error's Is", func() (string, error) { return verdictOf(err), nil })
	if failed != nil {
		return "unknown"
	}
	return class
}

func verdictOf(err error) string {
	for _, known := range []struct {
		err   error
		class string
	}{
		{nil, "repeat"}, {ErrSettled, "settled"}, {ErrSuperseded, "superseded"}, {ErrClosed, "closed"}, {ErrNotFound, "not found"},
		{ErrTypeMismatch, "type mismatch"}, {completer.ErrCancelNotRequested, "not requested"},
		{ErrInvalidArgument, "refused"}, {ErrInvalidResult, "refused"}, {ErrInvalidFailure, "refused"}, {ErrTooLarge, "refused"},
	} {
		if errors.Is(err, known.err) {
			return known.class
		}
	}
	return "unknown"
}

// callClass names the error of a call to Temporal.
func callClass(err error) string {
	if err == nil {
		return classOK
	}
	return undelivered(err).Class
}

func hookClass(err error) string {
	if _, is := err.(*panicError); is { // errors.Is is not called on errors of the application
		return classPanicked
	}
	switch err {
	case nil:
		return classOK
	case errHangs, errBusy:
		return "hangs"
	default:
		return classFailed
	}
}

// beatClass names the result of a beat.
func beatClass(did lifecycle.Beat) string {
	switch did.Result {
	case lifecycle.BeatSent:
		return "sent"
	case lifecycle.BeatFailed:
		return classFailed
	default:
		return "over"
	}
}

func storeClass(err error) string {
	switch {
	case err == nil:
		return classOK
	case errors.Is(err, store.ErrNotFound):
		return "not found"
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return "conflict"
	default:
		return classFailed
	}
}

// observedStore is a store whose calls about one entry are observed.
type observedStore struct {
	store.Store
	pager   store.Pager // nil if the store has no pages
	watch   store.Notifier
	lookout *lookout
}

// store returns s with observed calls if there is an observer.
func (l *lookout) store(s store.Store) store.Store {
	if l.observer == nil {
		return s
	}
	o := observedStore{Store: s, lookout: l}
	o.pager, _ = s.(store.Pager)
	o.watch, _ = s.(store.Notifier)
	return o
}

func (s observedStore) Get(ctx context.Context, id string) (store.Entry, error) {
	ctx, seen := s.lookout.observe(ctx, OpStore, "get", entry{})
	e, err := s.Store.Get(ctx, id)
	seen.end(Done{Class: storeClass(err)})
	return e, err
}

func (s observedStore) Put(ctx context.Context, e store.Entry) (uint64, error) {
	ctx, seen := s.lookout.observe(ctx, OpStore, "put", entry{})
	version, err := s.Store.Put(ctx, e)
	seen.end(Done{Class: storeClass(err)})
	return version, err
}

func (s observedStore) Delete(ctx context.Context, id string, version uint64) error {
	ctx, seen := s.lookout.observe(ctx, OpStore, "delete", entry{})
	err := s.Store.Delete(ctx, id, version)
	seen.end(Done{Class: storeClass(err)})
	return err
}

// Page implements store.Pager if the store does.
func (s observedStore) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	if s.pager == nil {
		return nil, errors.ErrUnsupported
	}
	return s.pager.Page(ctx, after, n)
}

// Watch implements store.Notifier if the store does.
func (s observedStore) Watch(ctx context.Context) (<-chan struct{}, error) {
	if s.watch == nil {
		return nil, errors.ErrUnsupported
	}
	return s.watch.Watch(ctx)
}
