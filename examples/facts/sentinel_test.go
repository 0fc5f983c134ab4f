package facts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// newRigWith is newRig with another function for the activity.
func newRigWith(t *testing.T, f func(ctx context.Context) (any, error)) *rig.Rig {
	t.Helper()
	return rig.New(t, rig.Options{Client: server.Client(t), Function: f, Register: func(w worker.Registry) {
		w.RegisterWorkflow(awaitDecision)
	}})
}

// If a client passes activity.ErrResultPending as the error, the call returns
// nil and does nothing.
func TestErrResultPendingAsFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	wantNil(t, "ErrResultPending as the failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, activity.ErrResultPending))
	if p := r.Pending(run); p.GetAttempt() != 1 || p.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED || p.GetLastFailure() != nil {
		t.Errorf("pending: %v, want attempt 1 running still", p)
	}
	wantNil(t, "the answer after it", r.Client.CompleteActivity(r.Context(), info.TaskToken, approved, nil))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}

// If the activity wraps activity.ErrResultPending, it fails and is retried,
// because the SDK compares with ==.
func TestErrResultPendingWrapped(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, func(context.Context) (any, error) {
		return nil, fmt.Errorf("asked: %w", activity.ErrResultPending)
	})
	run := r.Start(awaitDecision, patient())
	r.Next()
	p := r.AwaitPending(run, "back-off", rig.BackOff(2))
	if !strings.Contains(p.GetLastFailure().GetMessage(), "asked: ") {
		t.Errorf("last failure %v, want the wrapped sentinel", p.GetLastFailure())
	}
}

// A completion before the activity has returned activity.ErrResultPending is
// accepted. The worker's later result is ignored.
func TestAnswerBeforeSentinel(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]error{
		"sentinel": activity.ErrResultPending,
		"failure":  errors.New("too late"),
		"result":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := server.Client(t)
			r := newRigWith(t, func(ctx context.Context) (any, error) {
				if err := c.CompleteActivity(ctx, activity.GetInfo(ctx).TaskToken, approved, nil); err != nil {
					t.Errorf("completion before the activity has returned: %v, want nil", err)
				}
				return decision{By: "the worker"}, then
			})
			run := r.Start(awaitDecision, patient())
			if got := result[decision](t, r, run); got != approved {
				t.Errorf("the workflow read %+v, want the answer from outside", got)
			}
		})
	}
}
