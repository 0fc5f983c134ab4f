package async

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Callback is a handle of one activity that waits for an external system. The
// result type of the activity does not matter; [Pending] is the handle for a
// known type. Other SDKs call a Callback an async activity handle. Callback is
// a small value, safe for concurrent use. Accessors report the state at the
// time the callback was opened; methods act on the current entry.
//
// The zero Callback returns ErrNotFound from every method.
type Callback struct {
	hub *Hub
	handle
}

// ID returns the callback ID, which is safe in a URL. A callback ID has 54
// characters, or 44 with a business key. ID returns "" for a business key that
// no activity has used yet. Anyone who has the ID can answer. Send the callback
// ID only to the system that should answer, and do not log it.
func (c Callback) ID() string {
	if c.id == nil {
		return ""
	}
	return c.id.Reveal()
}

// Reference returns the reference that Remember stored, or "".
func (c Callback) Reference() string { return c.entry.rec.GetReference() }

// String returns the shortened callback ID, which is safe in a log.
func (c Callback) String() string { return "callback " + shortID(c.entryID()) }

// GoString returns String, so that %#v does not print the task token.
func (c Callback) GoString() string { return c.String() }

// LogValue returns the shortened callback ID.
func (c Callback) LogValue() slog.Value { return slog.StringValue(shortID(c.entryID())) }

// Fail fails the attempt with err. Temporal retries the activity by its retry
// policy, and the next attempt asks again under a new callback ID. If err is a
// non-retryable temporal.ApplicationError, the activity ends.
//
// Nil means that the failure is stored and that a hub will deliver it. See
// [Pending.Complete] for repeats and for errors. Fail returns ErrInvalidFailure
// if err is nil, is activity.ErrResultPending or cannot be encoded. A failure
// over the blob limit is cut (stack traces, then details, then messages) and
// keeps its retryability. If a cancellation is among the causes of err,
// Latchkey sends a failure of type "Canceled"; the SDK's own client would send
// a cancellation, which Temporal refuses.
func (c Callback) Fail(ctx context.Context, err error) error {
	return failed("fail", c.entryID(), c.fail(ctx, err, true))
}

// Reject fails the activity with err, without retries. Reject is otherwise like
// Fail.
func (c Callback) Reject(ctx context.Context, err error) error {
	return failed("reject", c.entryID(), c.fail(ctx, err, false))
}

func (c Callback) fail(ctx context.Context, err error, retryable bool) error {
	if c.hub == nil {
		return errZero
	}
	enc, encErr := c.hub.encoder.in(ctx)
	if encErr != nil {
		return c.hub.deliverer.refuse(ctx, c.handle, record.Failure, encErr)
	}
	o, err := enc.failed(err, retryable)
	if err != nil {
		return c.hub.deliverer.refuse(ctx, c.handle, record.Failure, err)
	}
	return c.hub.deliverer.settle(ctx, c.handle, o)
}

// ReportCanceled ends the activity as cancelled, with these details. Temporal
// accepts a cancellation only after a request for cancellation. Without a
// request for cancellation, ReportCanceled returns ErrCancelNotRequested and
// changes nothing. If the store does not know of a request, ReportCanceled asks
// Temporal, so it needs a hub with a completer.
//
// The method is not called Cancel, because Cancel in Temporal's SDK requests a
// cancellation.
func (c Callback) ReportCanceled(ctx context.Context, details ...any) error {
	return failed("report canceled", c.entryID(), c.reportCanceled(ctx, details))
}

func (c Callback) reportCanceled(ctx context.Context, details []any) error {
	if c.hub == nil {
		return errZero
	}
	var o offer
	enc, err := c.hub.encoder.in(ctx)
	if err == nil {
		o, err = enc.cancellation(details)
	}
	if err != nil {
		return c.hub.deliverer.refuse(ctx, c.handle, record.Cancellation, err)
	}
	return c.hub.deliverer.settle(ctx, c.handle, o)
}

// Remember stores a reference of the external system, such as a job number, for
// later attempts of this round. Later attempts read the reference with
// Reference and do not submit the job again. A reference has at most 4 KiB of
// UTF-8; "" removes it.
func (c Callback) Remember(ctx context.Context, ref string) error {
	return failed("remember", c.entryID(), c.remember(ctx, ref))
}

func (c Callback) remember(ctx context.Context, ref string) error {
	if c.hub == nil {
		return errZero
	}
	if len(ref) > maxReference || !utf8.ValidString(ref) {
		return fmt.Errorf("%w: a reference must be at most %d bytes of UTF-8, got %d bytes", ErrInvalidArgument, maxReference, len(ref))
	}
	_, err := c.update(ctx, func(e entry) (entry, bool, error) {
		e.until = e.due // a hub that has claimed the entry keeps its claim
		if e.rec.Reference == ref {
			return e, false, nil
		}
		e.rec.Reference = ref
		return e, true, nil
	})
	return err
}

// update changes the entry if it is still in the round of the callback.
func (c Callback) update(ctx context.Context, change func(e entry) (_ entry, write bool, err error)) (entry, error) {
	return c.handle.update(ctx, c.hub.entries, change)
}

// errZero is the error of a Callback that no hub created.
var errZero = fmt.Errorf("%w: the zero Callback", ErrNotFound)

// State is the state of an entry.
type State int

const (
	// Waiting means that no answer has been accepted.
	Waiting State = iota + 1
	// Settled means that an outcome is accepted and will be delivered.
	Settled
	// Closed means that the activity is over.
	Closed
)

// String returns the name of the state in lower case.
func (s State) String() string {
	switch s {
	case Waiting:
		return "waiting"
	case Settled:
		return "settled"
	case Closed:
		return "closed"
	default:
		return fmt.Sprintf("state %d", int(s))
	}
}

// Info describes a callback for operators. Info contains neither the task
// token, nor the outcome, nor the callback ID.
type Info struct {
	ID         string // ID of the entry in the store; it does not authorize an answer
	ResultType string
	State      State

	Namespace, WorkflowID, WorkflowType, RunID string // the last three fields are empty for a standalone activity
	ActivityID, ActivityType                   string
	ActivityRunID                              string // run ID of a standalone activity
	TaskQueue                                  string
	Attempt                                    int32

	Outcome   string // "result", "failure", "cancellation", or "" if there is no outcome
	Delivered bool
	Settled   time.Time
	Ended     time.Time
	End       error // the reason for an end without delivery: ErrExpired, ErrUnknownEnd, ErrAbandoned, otherwise ErrOver

	Key, Reference string
	Labels         map[string]string

	// Signals that are in force, as of the last heartbeat or question to
	// Temporal. If CancelRequested is set, the workflow may no longer be
	// waiting for the result, although Temporal still accepts one.
	CancelRequested, Paused, Reset bool

	Created, Started, Deadline time.Time // Started and Deadline are times of the attempt
	Pump                       string
	LastBeat, NextBeat         time.Time // set while Waiting, after the function has returned
	NextDelivery               time.Time // while Settled
	Deliveries                 int       // tries
	LastError                  string    // the class of the error of the last try

	Early            bool          // answered by business key before the activity arrived
	HandedOff        bool          // the function of the current attempt has returned
	Scheduled        time.Time     // of the activity
	HeartbeatTimeout time.Duration // zero: none
	HeartbeatTries   int           // failed heartbeats since LastBeat
	Hooks            []string      // hooks that have not returned nil yet: "Delivered", "Over", …
	HookTries        int           // failed calls of hooks
	NextHook         time.Time
	Asked            time.Time // when the function of the round was about to run for the first time
	Since            time.Time // when the entry entered its state
	Late             time.Time // since when the entry needs a hub; zero if it needs none now
	Due              time.Time // when a hub takes the entry next; a hub that works on it postpones this time
	Class            string    // what goes wrong: LastError, "hook", "heartbeat" or "late"; "" if nothing is wrong
}

// Info returns the state of the entry at the time the callback was opened.
func (c Callback) Info() Info {
	r := c.entry.rec
	if r == nil {
		return Info{}
	}
	i := Info{
		ID:              c.entry.id,
		ResultType:      r.ResultType,
		State:           State(r.State),
		Namespace:       r.Namespace,
		WorkflowID:      r.WorkflowId,
		WorkflowType:    r.WorkflowType,
		RunID:           r.RunId,
		ActivityID:      r.ActivityId,
		ActivityType:    r.ActivityType,
		ActivityRunID:   r.ActivityRunId,
		TaskQueue:       r.TaskQueue,
		Attempt:         r.Attempt,
		Outcome:         kindName(r.Outcome.GetKind()),
		Delivered:       r.Delivery.GetDelivered(),
		Settled:         fromNano(r.Outcome.GetSettled()),
		Ended:           fromNano(r.Ended),
		End:             endError(r.End),
		Key:             r.Key,
		Reference:       r.Reference,
		Labels:          maps.Clone(r.Labels),
		CancelRequested: r.CancelRequested,
		Paused:          r.Paused,
		Reset:           r.ResetRequested,
		Pump:            r.Pump,
		Created:         fromNano(r.Created),
		Started:         fromNano(r.Started),
		Deadline:        fromNano(r.Deadline),
		Deliveries:      int(r.Delivery.GetTries()),
		LastError:       r.Delivery.GetLastError(),
	}
	switch i.State {
	case Waiting:
		i.LastBeat, i.NextBeat = fromNano(r.LastBeat), lifecycle.BeatAt(c.entry.rec)
	case Settled:
		i.NextDelivery = fromNano(r.Delivery.GetNext())
	}
	c.inspect(&i, time.Now())
	return i
}

// endError returns the reason for which an entry closed without delivery.
func endError(e record.End) error {
	switch e {
	case record.EndTimedOut:
		return ErrExpired
	case record.EndOther:
		return completer.ErrOver
	case record.EndUnknown:
		return ErrUnknownEnd
	case record.EndAbandoned:
		return ErrAbandoned
	case record.EndTypeMismatch:
		return ErrTypeMismatch
	default:
		return nil
	}
}
