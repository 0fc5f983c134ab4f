package answers

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// Find implements completer.Finder for a lossy completer.
func (l *lossy) Find(ctx context.Context, t completer.Target) (completer.Found, error) {
	return l.Completer.(completer.Finder).Find(ctx, t)
}

// byToken and byIDs are the two ways to name a waiting attempt.
func byToken(i activity.Info) async.AdoptOptions {
	return async.AdoptOptions{Namespace: i.Namespace, TaskToken: i.TaskToken, ActivityID: i.ActivityID, ActivityRunID: i.ActivityRunID}
}

func byIDs(i activity.Info) async.AdoptOptions {
	return async.AdoptOptions{
		Namespace: i.Namespace, WorkflowID: i.WorkflowExecution.ID, RunID: i.WorkflowExecution.RunID,
		ActivityID: i.ActivityID, ActivityRunID: i.ActivityRunID,
	}
}

// TestAdopt adopts waiting activities that did not call Start, and answers them.
// The activities are standalone or belong to a workflow.
func TestAdopt(t *testing.T) {
	t.Parallel()
	for how, options := range map[string]func(activity.Info) async.AdoptOptions{"by token": byToken, "by IDs": byIDs} {
		t.Run(how, func(t *testing.T) {
			t.Run("of a workflow", func(t *testing.T) {
				w := newWorld(t, config{byHand: true})
				run := w.Start(awaitDecision, workflow.ActivityOptions{StartToCloseTimeout: time.Hour, HeartbeatTimeout: time.Hour})
				info := w.Next()
				p, err := async.Adopt[Decision](w.Context(), w.hub, options(info))
				must(t, err)
				if i := p.Info(); i.ActivityType != info.ActivityType.Name || i.Attempt != 1 || !i.Scheduled.Equal(info.ScheduledTime) || i.HeartbeatTimeout != time.Hour || i.TaskQueue != info.TaskQueue {
					t.Errorf("Info is %+v, want that of %+v", i, info)
				}
				again, err := async.Adopt[Decision](w.Context(), w.hub, options(info))
				must(t, err)
				if again.ID() != p.ID() {
					t.Error("a second Adopt returned another callback")
				}
				opened, err := async.Open[Decision](w.Context(), w.hub, p.ID())
				must(t, err)
				must(t, opened.Complete(w.Context(), approved))
				w.wantResult(run, approved)
				_, err = async.Adopt[Decision](w.Context(), w.hub, async.AdoptOptions{Namespace: info.Namespace, WorkflowID: info.WorkflowExecution.ID, ActivityID: info.ActivityID})
				wantErr(t, err, async.ErrNotFound)
			})
			t.Run("standalone", func(t *testing.T) {
				w := newWorld(t, config{byHand: true})
				h := w.StartActivity(client.StartActivityOptions{})
				p, err := async.Adopt[Decision](w.Context(), w.hub, options(w.Next()))
				must(t, err)
				must(t, p.Complete(w.Context(), approved))
				w.wantOutcome(h, approved)
			})
			// The attempt after the adopted one calls Start. The later attempt
			// must compute the same ID from the worker's information as Adopt
			// does from Temporal's answers.
			t.Run("then attempt 2", func(t *testing.T) {
				w := newWorld(t, config{byHand: true})
				run := w.Start(awaitDecision, workflow.ActivityOptions{StartToCloseTimeout: time.Hour, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Millisecond}})
				info := w.Next()
				p, err := async.Adopt[Decision](w.Context(), w.hub, options(info))
				must(t, err)
				must(t, w.Client.CompleteActivity(w.Context(), info.TaskToken, nil, errors.New("the old handler fails it")))
				if q := w.next(); q.ID() != p.ID() {
					t.Errorf("attempt 2 has the callback %v, want %v", q, p)
				}
				must(t, p.Complete(w.Context(), approved))
				w.wantResult(run, approved)
			})
			t.Run("then attempt 2, standalone", func(t *testing.T) {
				w := newWorld(t, config{byHand: true})
				h := w.StartActivity(client.StartActivityOptions{RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Millisecond}})
				info := w.Next()
				p, err := async.Adopt[Decision](w.Context(), w.hub, options(info))
				must(t, err)
				must(t, w.Client.CompleteActivity(w.Context(), info.TaskToken, nil, errors.New("the old handler fails it")))
				if q := w.next(); q.ID() != p.ID() {
					t.Errorf("attempt 2 has the callback %v, want %v", q, p)
				}
				must(t, p.Complete(w.Context(), approved))
				w.wantOutcome(h, approved)
			})
		})
	}
}

// TestAdoptRefusesWhatDoesNotWait: nothing is stored for a malformed token, for
// the token of an ended attempt, or for IDs that Temporal does not know.
func TestAdoptRefusesWhatDoesNotWait(t *testing.T) {
	w := newWorld(t, config{byHand: true})
	w.Start(awaitDecision, workflow.ActivityOptions{StartToCloseTimeout: time.Hour, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Millisecond}})
	info := w.Next()
	other := byToken(info)
	other.ActivityID = "another"
	for name, c := range map[string]struct {
		o    async.AdoptOptions
		want error
	}{
		"garbage":          {async.AdoptOptions{Namespace: "default", TaskToken: []byte("garbage")}, async.ErrInvalidArgument},
		"half a token":     {async.AdoptOptions{Namespace: "default", TaskToken: info.TaskToken[:len(info.TaskToken)/2]}, async.ErrInvalidArgument},
		"other IDs":        {other, async.ErrInvalidArgument},
		"unknown workflow": {async.AdoptOptions{Namespace: "default", WorkflowID: "nobody", ActivityID: "5"}, async.ErrNotFound},
		"unknown activity": {async.AdoptOptions{Namespace: "default", WorkflowID: info.WorkflowExecution.ID, ActivityID: "nobody"}, async.ErrNotFound},
		"unknown alone":    {async.AdoptOptions{Namespace: "default", ActivityID: "nobody"}, async.ErrNotFound},
		"unknown space":    {async.AdoptOptions{Namespace: "nobody", WorkflowID: info.WorkflowExecution.ID, ActivityID: info.ActivityID}, completer.ErrRefused},
	} {
		_, err := async.Adopt[Decision](w.Context(), w.hub, c.o)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: Adopt returned %v, want %v", name, err, c.want)
		}
	}
	for range w.store.List(w.Context()) {
		t.Error("something was stored")
	}
	must(t, w.Client.CompleteActivity(w.Context(), info.TaskToken, nil, errors.New("the next attempt runs")))
	w.Next()
	_, err := async.Adopt[Decision](w.Context(), w.hub, byToken(info))
	wantErr(t, err, async.ErrInvalidArgument)
}
