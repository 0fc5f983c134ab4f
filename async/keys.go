package async

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// maxKey bounds a business key, in bytes.
const maxKey = 1 << 10

// KeyOptions say where a business key is looked for.
type KeyOptions struct {
	// Namespace is that of the activity. Required.
	Namespace string

	// Early is how long a result waits for its activity where none has asked
	// yet. Defaults to 0: ErrNotFound.
	Early time.Duration
}

// keyed is how a callback was opened by key.
type keyed struct {
	key        string
	options    KeyOptions
	resultType string
}

// OpenKey opens the activity that has this business key, where it awaits a T.
// It stands for the round that is current whenever something is done with it:
// a repeat of an answer to an earlier round is an answer to this one, unless
// both carry an idempotency key ([WithIdempotencyKey]).
//
// Where there is none it is ErrNotFound; with Early set, it may be answered all
// the same: Complete then keeps the result for the activity, whose Start
// delivers it and doesn't run its function. Only a result may come early: Fail,
// Reject and ReportCanceled need an activity. The Over hook gets ErrExpired for
// an early result whose activity doesn't come in time.
func OpenKey[T any](ctx context.Context, h *Hub, key string, o KeyOptions) (Pending[T], error) {
	name, err := resultType[T]()
	if err != nil {
		return Pending[T]{}, failed("open key", "", fmt.Errorf("%w: %w", ErrTypeMismatch, err))
	}
	c, err := h.openKey(ctx, &keyed{key: key, options: o, resultType: name})
	if err != nil {
		return Pending[T]{}, failed("open key", "", err)
	}
	return Pending[T]{c}, nil
}

func (h *Hub) openKey(ctx context.Context, k *keyed) (Callback, error) {
	if h == nil {
		return Callback{}, fmt.Errorf("%w: a nil hub", ErrNotFound)
	}
	if k.key == "" {
		return Callback{}, errors.New("the key is empty")
	}
	if err := checkKey(k.key); err != nil {
		return Callback{}, err
	}
	if k.options.Namespace == "" || k.options.Early < 0 {
		return Callback{}, errors.New("KeyOptions.Namespace is required, and Early is not below zero")
	}
	c := Callback{hub: h, key: k, entry: entry{id: keyedID(k.options.Namespace, k.key)}}
	e, err := h.load(ctx, c.entry.id)
	switch {
	case errors.Is(err, store.ErrNotFound) && k.options.Early > 0:
		return c, nil
	case errors.Is(err, store.ErrNotFound):
		return Callback{}, fmt.Errorf("%w: no activity has this key now", ErrNotFound)
	case err != nil:
		return Callback{}, err
	case e.rec.ResultType != k.resultType:
		return Callback{}, &TypeMismatchError{Want: e.rec.ResultType, Got: k.resultType}
	}
	c.entry, c.id = e, new(callbackID(e.id, e.rec.Secret))
	return c, nil
}

func checkKey(key string) error {
	if len(key) > maxKey || !utf8.ValidString(key) {
		return fmt.Errorf("a key of %d bytes, not of at most %d in UTF-8", len(key), maxKey)
	}
	return nil
}

// early returns the entry of an answer that comes before its activity.
func (k *keyed) early(id string, now time.Time) entry {
	return entry{id: id, rec: &record.Record{
		Namespace: k.options.Namespace, Key: k.key, Early: true, ResultType: k.resultType,
		State: record.Waiting, Secret: newSecret(), Created: now.UnixNano(),
	}}
}

// sameActivity reports whether two records are of one activity: those of one
// key needn't be.
func sameActivity(a, b *record.Record) bool {
	return a.WorkflowId == b.WorkflowId && a.RunId == b.RunId && a.ActivityId == b.ActivityId &&
		a.ActivityRunId == b.ActivityRunId && a.Scheduled == b.Scheduled
}

// sameRun reports whether two records are of activities of one run.
func sameRun(a, b *record.Record) bool {
	return a.RunId == b.RunId && a.ActivityRunId == b.ActivityRunId
}

// owner is what a key belongs to for as long as its activity is pending.
func owner(r *record.Record) string {
	if r.WorkflowId != "" {
		return "workflow/" + r.WorkflowId
	}
	return "activity/" + r.ActivityId
}

// takeOver brings another activity to the entry of its key, by the rules for
// keys. It returns as arrive does.
func (h *Hub) takeOver(ctx context.Context, e *entry, now *record.Record) (next step, changed bool, err error) {
	r := e.rec
	again := func(remember bool) (step, bool, error) {
		newRound(e.id, r, remember)
		r.Details, r.ServerDetailsDigest, r.BeatPendingSince, r.DetailsPendingSince = nil, nil, 0, 0 // those of another job
		r.Early = false
		h.rename(r, now)
		return stepAsk, true, nil
	}
	// drop tells that what was accepted is not delivered.
	drop := func(why record.End) (step, bool, error) {
		h.notice(r, record.NoticeOver, why, time.Now())
		return again(false)
	}
	otherType := r.ResultType != now.ResultType
	if r.Early {
		switch {
		case r.State != record.Settled:
			return again(false)
		case otherType, r.Outcome.GetKind() != record.Result:
			return drop(record.EndTypeMismatch)
		}
		return h.takeEarly(r, now)
	}
	isClosed := r.State == record.Closed
	delivered := isClosed && r.End == record.EndDelivered
	switch {
	case owner(r) != owner(now) && isClosed:
		// A worker that is late may still speak for an activity that had the
		// key before, and is over.
		if runs, err := h.runs(ctx, now); err != nil || !runs {
			return stepPending, false, err
		}
		return again(delivered)
	case owner(r) != owner(now), now.Scheduled <= r.Scheduled && sameRun(r, now):
		return 0, false, ErrKeyInUse
	case now.Scheduled <= r.Scheduled:
		// A workflow that was reset begins another run with the events of the
		// old one: its activities were scheduled then. A worker that is late may
		// speak for a run before all the same.
		if runs, err := h.runs(ctx, now); err != nil {
			return 0, false, err
		} else if h.completer == nil || !runs {
			return 0, false, ErrKeyInUse
		}
	}
	switch {
	case delivered && r.Outcome.GetKind() != record.Failure:
		return again(true) // that activity is over: it needn't be asked after
	case h.completer == nil:
		return 0, false, fmt.Errorf("%w: whether the earlier activity is over can't be asked without a completer", ErrKeyInUse)
	}
	call, cancel := context.WithTimeout(ctx, h.claimTime-callMargin)
	defer cancel()
	status, err := h.completer.Describe(call, target(r).ByID(), r.Outcome.GetMark())
	switch {
	case err != nil:
		return 0, false, fmt.Errorf("whether the earlier activity with this key is over can't be asked now: %w", err)
	case status.Pending:
		return 0, false, fmt.Errorf("%w: the earlier activity is pending", ErrKeyInUse)
	case isClosed:
		return again(delivered)
	case r.State == record.Waiting:
		if otherType {
			return again(false)
		}
		known := r.HandedOffStarted != 0 || r.Reference != ""
		h.rename(r, now)
		if r.HandedOffStarted = 0; now.Once && known {
			r.HandedOffStarted = r.Started
			return stepPending, true, nil
		}
		return stepAsk, true, nil
	case r.State != record.Settled:
		return 0, false, errNewer
	}
	// An outcome is that of the activity which it was accepted for.
	switch {
	case status.End == EndBuffered:
		return 0, false, fmt.Errorf("%w: how the earlier activity ended is not in its history yet", ErrKeyInUse)
	case status.End == EndOurs:
		closed(r, record.EndDelivered, time.Now())
		h.notice(r, record.NoticeDelivered, record.EndDelivered, time.Now())
		return again(true)
	case status.End == EndUnknown:
		h.notice(r, record.NoticeOver, record.EndUnknown, time.Now())
		return again(true) // it may have been delivered, so that a repeat is no answer to this one
	default:
		return drop(ended(status.End).end)
	}
}

// runs reports whether an attempt is the one that Temporal has running; without
// a completer it is taken at its word.
func (h *Hub) runs(ctx context.Context, now *record.Record) (bool, error) {
	if h.completer == nil {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.claimTime-callMargin)
	defer cancel()
	status, err := h.completer.Describe(ctx, target(now).ByID(), "")
	if err != nil {
		return false, fmt.Errorf("whether this attempt still runs can't be asked now: %w", err)
	}
	return status.Running && status.Started.Equal(fromNano(now.Started)), nil
}

// takeEarly makes an early result that of the activity which arrives. It isn't
// measured again: what lies around the value is as large for one activity as
// for another.
func (h *Hub) takeEarly(r, now *record.Record) (next step, changed bool, err error) {
	data := h.encoder.dataOf(r)
	r.Early = false
	h.rename(r, now)
	if r.Outcome.Payload, err = rebind(r.Outcome.Payload, data, h.encoder.dataOf(r)); err != nil {
		return 0, false, fmt.Errorf("the result that came early can't be encoded for this activity now: %w", err)
	}
	r.Outcome.Started = r.Started
	return stepDeliver, true, nil
}

// rename makes the record that of another activity, which doesn't know of the
// job's progress yet.
func (h *Hub) rename(r, now *record.Record) {
	data := h.encoder.dataOf(r)
	r.WorkflowId, r.RunId, r.ActivityId, r.ActivityRunId = now.WorkflowId, now.RunId, now.ActivityId, now.ActivityRunId
	r.Scheduled = now.Scheduled
	r.TokenLostStarted, r.DetailsReadStarted, r.ServerDetailsDigest, r.DetailsPendingSince = 0, 0, nil, 0
	if len(r.Details) > 0 {
		r.BeatPendingSince, r.DetailsPendingSince = now.Created, now.Created
	}
	adopt(r, now)
	if bound, err := rebind(r.Details, data, h.encoder.dataOf(r)); err == nil {
		r.Details = bound
	} else {
		r.Details, r.DetailsPendingSince = nil, 0 // nobody could read them
	}
}

type idempotencyKey struct{}

// WithIdempotencyKey returns a context with which outcomes of one kind are the
// same where their keys are, whatever their values: the second is accepted as
// a repeat of the first. Opened by business key, it also tells a repeat of an
// answer to an earlier round from an answer to this one. At most 1 KiB.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}
