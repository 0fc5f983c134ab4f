package facts

import (
	"testing"
	"time"

	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// slow is a retry policy whose retries come after the end of the test.
var slow = client.StartActivityOptions{RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Hour}}

// standaloneByID answers a standalone activity by its IDs.
func standaloneByID(r *rig.Rig, info activity.Info, result any, err error) error {
	return r.Client.CompleteActivityByActivityID(r.Context(), r.Namespace, info.ActivityID, info.ActivityRunID, result, err)
}

// The test completes a standalone activity twice. A second completion by ID
// gets FailedPrecondition. A second completion by token, and all other calls,
// get NotFound.
func TestStandaloneCompletedTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.StartActivity(slow)
	info := r.Next()
	ctx := r.Context()
	wantNil(t, "completion", r.Client.CompleteActivity(ctx, info.TaskToken, approved, nil))
	wantError[*serviceerror.FailedPrecondition](t, "completion by ID", standaloneByID(r, info, approved, nil))
	wantNotFound(t, "completion by token", r.Client.CompleteActivity(ctx, info.TaskToken, approved, nil))
	wantNotFound(t, "failure by token", r.Client.CompleteActivity(ctx, info.TaskToken, nil, later()))
	wantNotFound(t, "failure by ID", standaloneByID(r, info, nil, later()))
	wantNotFound(t, "cancellation by ID", standaloneByID(r, info, nil, temporal.NewCanceledError()))
	wantNotFound(t, "heartbeat by token", r.Client.RecordActivityHeartbeat(ctx, info.TaskToken))
	wantNotFound(t, "heartbeat by ID", r.Client.RecordActivityHeartbeatByID(ctx, r.Namespace, "", info.ActivityRunID, info.ActivityID))
}

// A failure by ID of an old attempt of a standalone activity reaches the next
// attempt. In backoff, a completion by ID is accepted, and a failure is not. A
// heartbeat by ID works with an empty workflow ID.
func TestStandaloneAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := r.StartActivity(slow)
	first := r.Next()
	if first.WorkflowExecution.ID != "" || first.ActivityRunID != h.GetRunID() {
		t.Errorf("workflow %q, run %q; want none, and %q", first.WorkflowExecution.ID, first.ActivityRunID, h.GetRunID())
	}
	wantNil(t, "heartbeat by ID", r.Client.RecordActivityHeartbeatByID(r.Context(), r.Namespace, "", first.ActivityRunID, first.ActivityID))
	wantNil(t, "failure by token", r.Client.CompleteActivity(r.Context(), first.TaskToken, nil, again()))
	second := r.Next()
	if !second.ScheduledTime.Equal(first.ScheduledTime) {
		t.Errorf("attempt 2 was scheduled at %v, want %v as attempt 1", second.ScheduledTime, first.ScheduledTime)
	}
	wantNil(t, "the same failure by ID", standaloneByID(r, first, nil, again()))
	third := r.Next()
	if third.Attempt != 3 {
		t.Errorf("attempt %d, want 3: the second failed", third.Attempt)
	}
	wantNil(t, "failure by token", r.Client.CompleteActivity(r.Context(), third.TaskToken, nil, later()))
	wantNotFound(t, "completion by token in back-off", r.Client.CompleteActivity(r.Context(), third.TaskToken, approved, nil))
	wantNotFound(t, "failure by ID in back-off", standaloneByID(r, third, nil, later()))
	wantNil(t, "completion by ID in back-off", standaloneByID(r, third, approved, nil))
	if got := result[decision](t, r, h); got != approved {
		t.Errorf("the activity's result is %+v, want %+v", got, approved)
	}
}

// The last started time of a standalone activity is the time of its running
// attempt, and stays in backoff. Only the state shows whether an attempt runs.
func TestStandaloneDescribe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := r.StartActivity(slow)
	info := r.Next()
	check := func(what string, state enumspb.PendingActivityState, attempt int32) {
		t.Helper()
		d := r.DescribeActivity(h)
		i := d.GetInfo()
		if i.GetRunState() != state || i.GetAttempt() != attempt || !i.GetLastStartedTime().AsTime().Equal(info.StartedTime) ||
			!i.GetScheduleTime().AsTime().Equal(info.ScheduledTime) || d.GetOutcome() != nil {
			t.Errorf("%s: %v, attempt %d, started %v, scheduled %v, outcome %v; want %v, %d, %v, %v and none", what,
				i.GetRunState(), i.GetAttempt(), i.GetLastStartedTime().AsTime(), i.GetScheduleTime().AsTime(), d.GetOutcome(),
				state, attempt, info.StartedTime, info.ScheduledTime)
		}
	}
	check("running", enumspb.PENDING_ACTIVITY_STATE_STARTED, 1)
	r.Pause(info)
	check("running, paused", enumspb.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED, 1)
	r.Unpause(info)
	wantNil(t, "failure", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, later()))
	check("back-off", enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, 2)
	r.Pause(info)
	check("paused", enumspb.PENDING_ACTIVITY_STATE_PAUSED, 2)
}

// The test checks which evidence shows who ended a standalone activity. The
// identity of a completion, and of a failure that is not retried, becomes the
// identity of the last worker. The server does not keep the identity of a
// cancellation, but keeps its details with their metadata.
func TestStandaloneEvidence(t *testing.T) {
	t.Parallel()
	details := &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"encoding": []byte("binary/null"), "mark": []byte(mark)}}}}
	for name, c := range map[string]struct {
		end    func(r *rig.Rig, h client.ActivityHandle, info activity.Info) error
		status enumspb.ActivityExecutionStatus
		known  bool // by identity
		check  func(o *activitypb.ActivityExecutionOutcome) bool
	}{
		"completed": {
			end: func(r *rig.Rig, _ client.ActivityHandle, info activity.Info) error {
				_, err := r.Service().RespondActivityTaskCompleted(r.Context(), &workflowservice.RespondActivityTaskCompletedRequest{
					Namespace: r.Namespace, TaskToken: info.TaskToken, Identity: ours,
				})
				return err
			},
			status: enumspb.ACTIVITY_EXECUTION_STATUS_COMPLETED, known: true,
			check: func(o *activitypb.ActivityExecutionOutcome) bool { return o.GetResult() != nil },
		},
		"failed": {
			end: func(r *rig.Rig, _ client.ActivityHandle, info activity.Info) error {
				failure := failureFrom(mark)
				failure.GetApplicationFailureInfo().NonRetryable = true
				return fail(r, info, failure)
			},
			status: enumspb.ACTIVITY_EXECUTION_STATUS_FAILED, known: true,
			check: func(o *activitypb.ActivityExecutionOutcome) bool { return o.GetFailure().GetSource() == mark },
		},
		"cancelled": {
			end: func(r *rig.Rig, h client.ActivityHandle, info activity.Info) error {
				if err := h.Cancel(r.Context(), client.CancelActivityOptions{}); err != nil {
					return err
				}
				_, err := r.Service().RespondActivityTaskCanceled(r.Context(), &workflowservice.RespondActivityTaskCanceledRequest{
					Namespace: r.Namespace, TaskToken: info.TaskToken, Identity: ours, Details: details,
				})
				return err
			},
			status: enumspb.ACTIVITY_EXECUTION_STATUS_CANCELED, known: false,
			check: func(o *activitypb.ActivityExecutionOutcome) bool {
				i := o.GetFailure().GetCanceledFailureInfo()
				return i.GetIdentity() != ours && proto.Equal(i.GetDetails(), details)
			},
		},
		"timed out after a failure": {
			end: func(r *rig.Rig, _ client.ActivityHandle, info activity.Info) error {
				return fail(r, info, failureFrom(mark))
			},
			status: enumspb.ACTIVITY_EXECUTION_STATUS_TIMED_OUT, known: false,
			check: func(o *activitypb.ActivityExecutionOutcome) bool {
				return o.GetFailure().GetTimeoutFailureInfo() != nil && o.GetFailure().GetCause().GetSource() == mark
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			o := slow
			if name == "timed out after a failure" {
				o = client.StartActivityOptions{
					ScheduleToCloseTimeout: soon,
					RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond},
				}
			}
			h := r.StartActivity(o)
			wantNil(t, name, c.end(r, h, r.Next()))
			rig.Eventually(t, "the activity to end", func() bool { return r.DescribeActivity(h).GetOutcome() != nil })
			d := r.DescribeActivity(h)
			if known := d.GetInfo().GetLastWorkerIdentity() == ours; known != c.known {
				t.Errorf("last worker is %q; want it to be %q: %v", d.GetInfo().GetLastWorkerIdentity(), ours, c.known)
			}
			if d.GetInfo().GetStatus() != c.status || !c.check(d.GetOutcome()) {
				t.Errorf("status %v, outcome %v; want %v and the outcome reported", d.GetInfo().GetStatus(), d.GetOutcome(), c.status)
			}
		})
	}
}
