package async

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// AdoptOptions names the activity that [Adopt] registers. Set TaskToken, or
// WorkflowID and ActivityID, or ActivityID alone for a standalone activity, or
// both.
type AdoptOptions struct {
	// Namespace is the namespace of the activity. Required.
	Namespace string

	// TaskToken is the task token of the waiting attempt, as its worker got it.
	// With the token, hubs heartbeat for the activity. Without the token, hubs
	// do not heartbeat, and they deliver by ID. Defaults to none.
	TaskToken []byte

	// WorkflowID and ActivityID name the activity of a workflow, and RunID the
	// run, which defaults to the current one. For a standalone activity
	// WorkflowID is empty, and ActivityRunID defaults to the current run. With
	// TaskToken, these fields default to the values in the token, and must not
	// differ from them.
	WorkflowID, RunID, ActivityID, ActivityRunID string

	// Key, Labels and Pump have the same meaning as in StartOptions. The
	// worker's code must use the same Key when it calls Start, so that a later
	// attempt finds the entry.
	Key    string
	Labels map[string]string
	Pump   string
}

// Adopt registers an activity that already waits and that did not call Start. A
// worker in any language has handed the activity out by its task token or its
// IDs, without Latchkey. After Adopt, the callback ID of the returned Pending
// answers the activity, as if Start had been called. See docs/migrating.md.
//
// Adopt asks Temporal about the activity. The hub therefore needs a completer
// that implements completer.Finder, such as the completer that completer.New
// returns. Adopt records that the external system already has the request. A
// later attempt that calls Start finds the entry, keeps the callback ID, and
// runs its function unless StartOptions.Once is set. Calling Adopt again
// returns the same callback.
//
// Adopt returns ErrInvalidArgument if the token is not the token of the running
// attempt, or if the options are incomplete. Adopt returns ErrNotFound if no
// such activity is pending. Adopt returns completer.ErrNotStarted if no attempt
// runs now; a later call may then succeed. Adopt returns a TypeMismatchError if
// the entry exists and awaits another type. If Adopt returns an error, it
// stores nothing.
func Adopt[T any](ctx context.Context, h *Hub, o AdoptOptions) (Pending[T], error) {
	name, err := resultType[T]()
	if err != nil {
		return Pending[T]{}, failed("adopt", "", fmt.Errorf("%w: %w", ErrTypeMismatch, err))
	}
	c, err := h.adopt(ctx, o, name)
	return Pending[T]{c}, failed("adopt", "", err)
}

// check returns an error if the options are invalid.
func (o AdoptOptions) check() error {
	switch {
	case o.Namespace == "":
		return fmt.Errorf("%w: AdoptOptions.Namespace is required", ErrInvalidArgument)
	case len(o.TaskToken) == 0 && o.ActivityID == "":
		return fmt.Errorf("%w: AdoptOptions needs a TaskToken or an ActivityID", ErrInvalidArgument)
	case len(o.Pump) > maxPump || !utf8.ValidString(o.Pump):
		return fmt.Errorf("%w: AdoptOptions.Pump must be at most %d bytes of UTF-8, got %d bytes", ErrInvalidArgument, maxPump, len(o.Pump))
	}
	if err := checkKey(o.Key); err != nil {
		return err
	}
	if err := checkLabels(o.Labels); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidArgument, err)
	}
	return nil
}

func (h *Hub) adopt(ctx context.Context, o AdoptOptions, resultType string) (Callback, error) {
	if h == nil || h.completer == nil {
		return Callback{}, errors.New("it needs a hub with a completer, to ask Temporal about the activity")
	}
	if err := o.check(); err != nil {
		return Callback{}, err
	}
	found, err := h.findActivity(ctx, completer.Target{
		Namespace: o.Namespace, TaskToken: slices.Clone(o.TaskToken), WorkflowID: o.WorkflowID, RunID: o.RunID,
		ActivityID: o.ActivityID, ActivityRunID: o.ActivityRunID,
	})
	if err != nil {
		return Callback{}, err
	}
	r := adoptedRecord(found, o, resultType)
	id := record.EntryID(r)
	if e, err := h.entries.load(ctx, id); err == nil && lifecycle.SameActivity(e.rec, r) && e.rec.ResultType != resultType {
		return Callback{}, &TypeMismatchError{Want: e.rec.ResultType, Got: resultType}
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Callback{}, err
	}
	wait := h.starter.newStoreWait(id, r)
	wait.stored = *h.entries // the caller is not an activity, so it gets the store's error at once
	e, next, err := h.starter.begin(ctx, id, r, wait)
	if err != nil {
		return Callback{}, err
	}
	if next == lifecycle.Run && e.rec.HandedOffStarted != e.rec.Started { // this attempt is a later attempt of an existing entry
		h.starter.handedOff(ctx, e, wait, nil)
		if e, err = h.entries.load(ctx, id); err != nil {
			return Callback{}, err
		}
	}
	if next == lifecycle.Nothing {
		if e, err = h.entries.load(ctx, id); err != nil {
			return Callback{}, err
		}
	}
	h.wheel.wake()
	return h.callbackOf(e), nil
}

// findActivity asks Temporal for an activity.
func (h *Hub) findActivity(ctx context.Context, t completer.Target) (completer.Found, error) {
	finder, ok := h.completer.(completer.Finder)
	if !ok {
		return completer.Found{}, errors.ErrUnsupported
	}
	ctx, cancel := context.WithTimeout(ctx, h.settings.claimTime-callMargin)
	defer cancel()
	found, err := finder.Find(ctx, t)
	switch {
	case errors.Is(err, completer.ErrBadToken):
		err = fmt.Errorf("%w: AdoptOptions.TaskToken: %w", ErrInvalidArgument, err)
	case errors.Is(err, completer.ErrOver):
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return found, err
}

// adoptedRecord returns the record of an activity whose function has already
// returned.
func adoptedRecord(f completer.Found, o AdoptOptions, resultType string) *record.Record {
	t := f.Target
	r := &record.Record{
		Namespace: t.Namespace, WorkflowId: t.WorkflowID, WorkflowType: t.WorkflowType, RunId: t.RunID,
		ActivityId: t.ActivityID, ActivityType: t.ActivityType, ActivityRunId: t.ActivityRunID, TaskQueue: t.TaskQueue,
		Scheduled: toNano(t.Scheduled), Started: toNano(t.Started), Attempt: f.Attempt,
		TaskToken: t.TaskToken, Deadline: toNano(f.Deadline), HeartbeatTimeout: int64(f.HeartbeatTimeout),
		State: record.Waiting, ResultType: resultType, Secret: record.NewSecret(), Key: o.Key, Labels: o.Labels, Pump: o.Pump,
		Created: time.Now().UnixNano(), RoundBegan: toNano(t.Started),
		CancelRequested: f.Status.CancelRequested, Paused: f.Status.Paused,
	}
	r.HandedOffStarted = r.Started
	if len(r.TaskToken) == 0 {
		r.TokenLostStarted = r.Started
	}
	return r
}
