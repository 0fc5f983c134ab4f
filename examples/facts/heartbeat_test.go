package facts

import (
	"context"
	"errors"
	"testing"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

// A heartbeat without details erases the existing details, from which the next
// attempt would resume. A heartbeat without details also erases details that
// the function itself recorded.
func TestEmptyHeartbeatErases(t *testing.T) {
	t.Parallel()
	details := make(chan bool, 10)
	r := newRigWith(t, func(ctx context.Context) (any, error) {
		details <- activity.HasHeartbeatDetails(ctx)
		if activity.GetInfo(ctx).Attempt == 1 {
			activity.RecordHeartbeat(ctx, "submitted job 42")
		}
		return nil, activity.ErrResultPending
	})
	o := patient()
	o.HeartbeatTimeout = o.StartToCloseTimeout
	run := r.Start(awaitDecision, o)
	recorded := func(p *workflowpb.PendingActivityInfo) bool { return p.GetHeartbeatDetails() != nil }

	first := r.Next()
	r.AwaitPending(run, "the function's details", recorded)
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), first.TaskToken, nil, again()))
	second := r.Next()
	if <-details || !<-details {
		t.Error("want details in the second attempt, from the first, and none before")
	}

	if err := r.Client.RecordActivityHeartbeat(r.Context(), second.TaskToken); err != nil {
		t.Fatal(err)
	}
	if p := r.Pending(run); recorded(p) {
		t.Errorf("details after a heartbeat without: %v, want none", p.GetHeartbeatDetails())
	}
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), second.TaskToken, nil, again()))
	r.Next()
	if <-details {
		t.Error("the third attempt has details, want them erased")
	}
}

// A heartbeat by ID through the SDK reports only cancellation, although the
// server's answer also has paused and reset. By token the SDK reports one of
// the three, in the order cancel, pause, reset. The raw call reports all
// signals.
func TestHeartbeatSignals(t *testing.T) {
	t.Parallel()
	type response = workflowservice.RecordActivityTaskHeartbeatResponse
	for name, c := range map[string]struct {
		pause, reset, cancel bool
		token, id            error // what the SDK's heartbeat returns: nil or an error like this
	}{
		"none":             {},
		"paused":           {pause: true, token: activity.ErrActivityPaused},
		"reset":            {reset: true, token: activity.ErrActivityReset},
		"cancelled":        {cancel: true, token: temporal.NewCanceledError(), id: temporal.NewCanceledError()},
		"paused, reset":    {pause: true, reset: true, token: activity.ErrActivityPaused},
		"all":              {pause: true, reset: true, cancel: true, token: temporal.NewCanceledError(), id: temporal.NewCanceledError()},
		"reset, cancelled": {reset: true, cancel: true, token: temporal.NewCanceledError(), id: temporal.NewCanceledError()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			run := r.Start(awaitDecision, patient())
			info := r.Next()
			if c.pause {
				r.Pause(info)
			}
			if c.cancel {
				requestCancel(t, r, run)
			}
			if c.reset {
				r.Reset(info)
			}
			got, err := beat(r, info)
			wantNil(t, "raw, by token", err)
			want := &response{CancelRequested: c.cancel, ActivityPaused: c.pause, ActivityReset: c.reset}
			if !proto.Equal(got, want) {
				t.Errorf("raw, by token: %v, want %v", got, want)
			}
			byID, err := r.Service().RecordActivityTaskHeartbeatById(r.Context(), &workflowservice.RecordActivityTaskHeartbeatByIdRequest{
				Namespace: r.Namespace, WorkflowId: run.GetID(), RunId: run.GetRunID(), ActivityId: info.ActivityID,
			})
			wantNil(t, "raw, by ID", err)
			if byID.GetCancelRequested() != c.cancel || byID.GetActivityPaused() != c.pause || byID.GetActivityReset() != c.reset {
				t.Errorf("raw, by ID: %v, want %v", byID, want)
			}
			wantLike(t, "by token", r.Client.RecordActivityHeartbeat(r.Context(), info.TaskToken), c.token)
			wantLike(t, "by ID", r.Client.RecordActivityHeartbeatByID(r.Context(), r.Namespace, run.GetID(), run.GetRunID(), info.ActivityID), c.id)
		})
	}
}

// wantLike checks that err is want, or is a cancellation if want is one.
func wantLike(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) && !(temporal.IsCanceledError(err) && temporal.IsCanceledError(want)) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
