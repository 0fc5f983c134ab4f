package docs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
)

// wait is a row of the table of an application that completes activities
// without Latchkey.
type wait struct {
	Token    []byte
	Callback string
}

func adoptAll(ctx context.Context, hub *async.Hub, waits []*wait) error {
	for _, wait := range waits { // the application's own table
		p, err := async.Adopt[Decision](ctx, hub, async.AdoptOptions{Namespace: "default", TaskToken: wait.Token})
		switch {
		case err == nil:
			wait.Callback = p.ID()
		case errors.Is(err, async.ErrNotFound):
			// the activity has ended, and no answer is awaited
		case errors.Is(err, completer.ErrNotStarted):
			// no attempt is running: the next one calls Start
		default:
			return err // Temporal or the store cannot be reached: run the loop again
		}
	}
	return nil
}

// finder returns Temporal's answer about a token.
type finder struct {
	asynctest.Completer
	known   map[string]error // by token
	started time.Time
}

func (f *finder) Find(_ context.Context, t completer.Target) (completer.Found, error) {
	if err := f.known[string(t.TaskToken)]; err != nil {
		return completer.Found{}, err
	}
	t.WorkflowID, t.RunID, t.ActivityID, t.ActivityType = "expense-7", "run-1", "5", "Approve"
	t.Scheduled, t.Started = f.started, f.started
	return completer.Found{Target: t, Attempt: 1, Deadline: f.started.Add(24 * time.Hour), Status: completer.Status{Pending: true, Running: true, Started: f.started}}, nil
}

// TestMigratingAdoptsWaitingActivities runs the loop of docs/migrating.md while
// Temporal cannot be reached, and again when it can. The test then answers the
// adopted activities.
func TestMigratingAdoptsWaitingActivities(t *testing.T) {
	temporal := &finder{started: time.Now().Add(-time.Hour), known: map[string]error{
		"ended": completer.ErrOver, "in backoff": completer.ErrNotStarted, "unreachable": errors.New("no connection"),
	}}
	hub := asynctest.NewHub(t, async.Options{Completer: temporal})
	waits := []*wait{{Token: []byte("waiting")}, {Token: []byte("ended")}, {Token: []byte("in backoff")}, {Token: []byte("unreachable")}}
	if err := adoptAll(t.Context(), hub, waits); err == nil {
		t.Error("the loop succeeded although Temporal cannot be reached")
	}
	adopted := waits[0].Callback
	temporal.known["unreachable"] = completer.ErrOver
	if err := adoptAll(t.Context(), hub, waits); err != nil {
		t.Errorf("the loop again: %v", err)
	}
	if adopted == "" || waits[0].Callback != adopted {
		t.Errorf("adopted as %.8q and then as %.8q, want one callback", adopted, waits[0].Callback)
	}
	for _, w := range waits[1:] {
		if w.Callback != "" {
			t.Errorf("%s: was adopted", w.Token)
		}
	}
	if err := answer(t.Context(), hub, adopted); err != nil {
		t.Errorf("answer: %v", err)
	}
	if sent := temporal.Completed(); len(sent) != 1 || string(sent[0].Target.TaskToken) != "waiting" {
		t.Errorf("%d outcomes were delivered, want 1 by the adopted token", len(sent))
	}
}
