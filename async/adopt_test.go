package async_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

// finding is a completer that finds one given activity.
type finding struct {
	*asynctest.Completer
	find func(t completer.Target) (completer.Found, error)
}

func (f finding) Find(_ context.Context, t completer.Target) (completer.Found, error) {
	return f.find(t)
}

// foundAttempt is Temporal's description of the n-th attempt.
func foundAttempt(n int, token []byte) completer.Found {
	info := attempt(n)
	return completer.Found{
		Target: completer.Target{
			Namespace: info.Namespace, WorkflowID: info.WorkflowExecution.ID, WorkflowType: info.WorkflowType.Name, RunID: info.WorkflowExecution.RunID,
			ActivityID: info.ActivityID, ActivityType: info.ActivityType.Name, TaskQueue: info.TaskQueue, TaskToken: token,
			Scheduled: info.ScheduledTime, Started: info.StartedTime,
		},
		Attempt: info.Attempt, HeartbeatTimeout: time.Minute, Deadline: info.Deadline,
		Status: completer.Status{Pending: true, Running: true, Started: info.StartedTime},
	}
}

func newAdopting(t *testing.T, found *completer.Found) *world {
	return newWorld(t, func(o *async.Options) {
		o.Completer = finding{o.Completer.(*asynctest.Completer), func(completer.Target) (completer.Found, error) { return *found, nil }}
	})
}

var byIDs = async.AdoptOptions{Namespace: "default", WorkflowID: "expense-7", RunID: "run-1", ActivityID: "5", Labels: map[string]string{"old": "1"}}

func TestAdoptByToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		found := foundAttempt(1, []byte("token-1"))
		beats := 0
		w := newAdopting(t, &found)
		w.completer.HeartbeatFunc = func(_ context.Context, to completer.Target, _ *commonpb.Payloads) (completer.Signals, error) {
			if beats++; string(to.TaskToken) != "token-1" {
				t.Errorf("a heartbeat went to %q", to.TaskToken)
			}
			return completer.Signals{}, nil
		}
		w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) { return found.Status, nil }
		o := async.AdoptOptions{Namespace: "default", TaskToken: []byte("token-1"), Labels: map[string]string{"old": "1"}}
		p, err := async.Adopt[Decision](t.Context(), w.hub, o)
		wantNil(t, err)
		again, err := async.Adopt[Decision](t.Context(), w.hub, o)
		wantNil(t, err)
		if again.ID() != p.ID() {
			t.Error("a second Adopt returned another callback")
		}
		if i := p.Info(); !i.HandedOff || i.Labels["old"] != "1" || i.ActivityType != "Approve" || i.Attempt != 1 {
			t.Errorf("Info is %+v", i)
		}
		time.Sleep(time.Minute / 2)
		_, err = w.hub.Work(t.Context())
		wantNil(t, err)
		if beats == 0 {
			t.Error("no heartbeat was sent within half of the timeout")
		}
		wantNil(t, w.open(p.ID()).Complete(t.Context(), Decision{Approved: true}))
		if calls := w.wantSent(1); string(calls[0].Target.TaskToken) != "token-1" {
			t.Errorf("delivered to %v", calls[0].Target)
		}
	})
}

func TestAdoptByIDs(t *testing.T) {
	for name, answer := range map[string]func(ctx context.Context, p async.Pending[Decision]) error{
		"result":  func(ctx context.Context, p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) },
		"failure": func(ctx context.Context, p async.Pending[Decision]) error { return p.Fail(ctx, errors.New("no")) },
	} {
		synctest.Test(t, func(t *testing.T) {
			found := foundAttempt(1, nil)
			w := newAdopting(t, &found)
			described := 0
			w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
				described++
				return found.Status, nil
			}
			w.completer.HeartbeatFunc = func(context.Context, completer.Target, *commonpb.Payloads) (completer.Signals, error) {
				t.Errorf("%s: a heartbeat without a token", name)
				return completer.Signals{}, nil
			}
			p, err := async.Adopt[Decision](t.Context(), w.hub, byIDs)
			wantNil(t, err)
			time.Sleep(10 * time.Minute)
			_, err = w.hub.Work(t.Context())
			wantNil(t, err)
			described = 0
			wantNil(t, answer(t.Context(), w.open(p.ID())))
			if calls := w.wantSent(1); calls[0].Target.TaskToken != nil || described == 0 {
				t.Errorf("%s: delivered to %v after %d questions, want by ID after one", name, calls[0].Target, described)
			}
			w.wantState(async.Closed)
		})
	}
}

// TestAdoptedAttemptIsFollowedByStart: the attempt after an adopted attempt
// calls Start, finds the entry, and stores its task token.
func TestAdoptedAttemptIsFollowedByStart(t *testing.T) {
	found := foundAttempt(1, nil)
	w := newAdopting(t, &found)
	p, err := async.Adopt[Decision](t.Context(), w.hub, byIDs)
	wantNil(t, err)
	if id := w.start(2, async.StartOptions{Once: true}); id != "" {
		t.Error("the function ran, although the external system was asked before")
	}
	if id := w.start(3, async.StartOptions{}); id != p.ID() {
		t.Error("attempt 3 has another callback ID")
	}
	wantNil(t, w.open(p.ID()).Complete(t.Context(), Decision{}))
	if got := string(w.wantSent(1)[0].Target.TaskToken); got != "token-3" {
		t.Errorf("delivered to %q", got)
	}
}

// TestStartBringsTheTokenOfAnAdoptedAttempt: an attempt that was adopted by its
// IDs calls Start later.
func TestStartBringsTheTokenOfAnAdoptedAttempt(t *testing.T) {
	found := foundAttempt(1, nil)
	w := newAdopting(t, &found)
	p, err := async.Adopt[Decision](t.Context(), w.hub, byIDs)
	wantNil(t, err)
	if id := w.start(1, async.StartOptions{}); id != "" {
		t.Error("the function ran, although the attempt counts as handed off")
	}
	wantNil(t, w.open(p.ID()).Complete(t.Context(), Decision{}))
	if got := string(w.wantSent(1)[0].Target.TaskToken); got != "token-1" {
		t.Errorf("delivered to %q", got)
	}
}

// TestAdoptFollowsLaterAttempts: a worker with the old code begins another
// attempt, and the application adopts that attempt too.
func TestAdoptFollowsLaterAttempts(t *testing.T) {
	found := foundAttempt(1, []byte("token-1"))
	w := newAdopting(t, &found)
	p, err := async.Adopt[Decision](t.Context(), w.hub, byIDs)
	wantNil(t, err)
	for n, token := range [][]byte{[]byte("token-2"), nil} {
		found = foundAttempt(n+2, token)
		q, err := async.Adopt[Decision](t.Context(), w.hub, byIDs)
		wantNil(t, err)
		if q.ID() != p.ID() || !q.Info().HandedOff || string(w.record().TaskToken) != string(token) {
			t.Errorf("attempt %d: %v with token %q", n+2, q.Info(), w.record().TaskToken)
		}
	}
	w.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) { return found.Status, nil }
	wantNil(t, w.open(p.ID()).Complete(t.Context(), Decision{}))
	w.wantState(async.Closed)
}

func TestAdoptRefuses(t *testing.T) {
	found := foundAttempt(1, []byte("token-1"))
	var fails error
	w := newWorld(t, func(o *async.Options) {
		o.Completer = finding{o.Completer.(*asynctest.Completer), func(completer.Target) (completer.Found, error) { return found, fails }}
	})
	for name, c := range map[string]struct {
		o     async.AdoptOptions
		fails error
		want  error
	}{
		"nothing":          {o: async.AdoptOptions{}, want: async.ErrInvalidArgument},
		"only a namespace": {o: async.AdoptOptions{Namespace: "default"}, want: async.ErrInvalidArgument},
		"a garbage token":  {o: async.AdoptOptions{Namespace: "default", TaskToken: []byte("x")}, fails: fmt.Errorf("%w: x", completer.ErrBadToken), want: async.ErrInvalidArgument},
		"unknown IDs":      {o: byIDs, fails: fmt.Errorf("%w: x", completer.ErrOver), want: async.ErrNotFound},
		"in back-off":      {o: byIDs, fails: completer.ErrNotStarted, want: completer.ErrNotStarted},
		"Temporal away":    {o: byIDs, fails: errAway, want: errAway},
		"labels":           {o: async.AdoptOptions{Namespace: "default", ActivityID: "5", Labels: map[string]string{"\xff": ""}}, want: async.ErrInvalidArgument},
	} {
		for range 5 { // the mistake of a caller opens no breaker
			fails = c.fails
			_, err := async.Adopt[Decision](t.Context(), w.hub, c.o)
			if c.fails != errAway {
				wantErr(t, err, c.want)
			} else if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		for range w.store.List(t.Context()) {
			t.Fatalf("%s: something was stored", name)
		}
	}
	fails = nil
	_, err := async.Adopt[Decision](t.Context(), w.hub, byIDs)
	wantNil(t, err)
	_, err = async.Adopt[int](t.Context(), w.hub, byIDs)
	wantErr(t, err, async.ErrTypeMismatch)
	_, err = async.Adopt[error](t.Context(), w.hub, byIDs)
	wantErr(t, err, async.ErrTypeMismatch)

	plain := newWorld(t)
	_, err = async.Adopt[Decision](t.Context(), plain.hub, byIDs)
	wantErr(t, err, errors.ErrUnsupported)
	settler := newWorld(t, func(o *async.Options) { o.Completer = nil })
	if _, err = async.Adopt[Decision](t.Context(), settler.hub, byIDs); err == nil {
		t.Error("a hub without a completer has adopted")
	}
}
