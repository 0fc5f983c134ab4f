package facts

import (
	"errors"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// blobLimit is the namespace's limit for one blob, in bytes.
const blobLimit = 2 << 20

func oversize() string { return strings.Repeat("x", 3<<20) }

// wantFailedForGood checks that the server itself has failed the activity at
// its first attempt, in spite of its retry policy.
func wantFailedForGood(t *testing.T, r *rig.Rig, run client.WorkflowRun, message string) {
	t.Helper()
	if err := run.Get(r.Context(), nil); err == nil {
		t.Error("the workflow ended well, want the activity's failure")
	}
	failed := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED).GetActivityTaskFailedEventAttributes()
	if failure := failed.GetFailure(); !strings.Contains(failure.GetMessage(), message) || !failure.GetServerFailureInfo().GetNonRetryable() {
		t.Errorf("the activity's failure is %.200v, want the server's own, not retryable: %s", failure, message)
	}
	if started := r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED).GetActivityTaskStartedEventAttributes(); started.GetAttempt() != 1 {
		t.Errorf("failed at attempt %d, want 1", started.GetAttempt())
	}
}

// A completion with a 3 MiB result returns nil, and the server has failed the
// activity permanently.
func TestOversizeResult(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	wantNil(t, "completion with 3 MiB", r.Client.CompleteActivity(r.Context(), r.Next().TaskToken, oversize(), nil))
	wantFailedForGood(t, r, run, "Complete result exceeds size limit")
}

// After a heartbeat with 3 MiB of details, the server fails the activity and
// answers "canceled".
func TestOversizeHeartbeat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	wantError[*temporal.CanceledError](t, "heartbeat with 3 MiB", r.Client.RecordActivityHeartbeat(r.Context(), r.Next().TaskToken, oversize()))
	wantFailedForGood(t, r, run, "Heartbeat details exceed size limit")
}

// A retryable failure of 3 MiB returns nil, and the failure becomes terminal.
func TestOversizeFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	wantNil(t, "failure with 3 MiB", r.Client.CompleteActivity(r.Context(), r.Next().TaskToken, nil, errors.New(oversize())))
	wantFailedForGood(t, r, run, "Failure exceeds size limit")
}

// A cancellation with too large details returns nil, and the activity has
// failed.
func TestOversizeCancelDetails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	requestCancel(t, r, run)
	wantNil(t, "cancellation with 3 MiB", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, temporal.NewCanceledError(oversize())))
	wantFailedForGood(t, r, run, "Cancel details exceed size limit")
}

// The limit applies to the encoded result, as a message. A result of exactly 2
// MiB is accepted, and one byte more is not.
func TestBlobLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// sized returns a result that has n bytes as a message.
	sized := func(size int) *commonpb.Payloads {
		p := &commonpb.Payload{
			Metadata: map[string][]byte{"encoding": []byte("binary/plain")},
			Data:     make([]byte, size-100),
		}
		payloads := &commonpb.Payloads{Payloads: []*commonpb.Payload{p}}
		p.Data = append(p.Data, make([]byte, size-proto.Size(payloads))...)
		return payloads
	}
	for size, want := range map[int]enumspb.EventType{
		blobLimit:     enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
		blobLimit + 1: enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED,
	} {
		run := r.Start(awaitDecision, patient())
		_, err := r.Service().RespondActivityTaskCompleted(r.Context(), &workflowservice.RespondActivityTaskCompletedRequest{
			Namespace: r.Namespace, TaskToken: r.Next().TaskToken, Result: sized(size),
		})
		wantNil(t, "completion near the limit", err)
		_ = run.Get(r.Context(), nil) // the workflow fails in both cases, because the results are not decisions
		if r.Event(run, want) == nil {
			t.Errorf("result of %d bytes: no %v in history", size, want)
		}
	}
}

// The server wraps a retryable failure over 4 KiB in another failure.
// Latchkey's source is then in the cause.
func TestFailureOver4KiB(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		size int
		mark func(f *failurepb.Failure) string
	}{
		"small": {100, (*failurepb.Failure).GetSource},
		"large": {5 << 10, func(f *failurepb.Failure) string { return f.GetCause().GetSource() }},
	} {
		run := r.Start(awaitDecision, patient())
		failure := failureFrom("latchkey:mark")
		failure.StackTrace = strings.Repeat("s", c.size)
		wantNil(t, name, fail(r, r.Next(), failure))
		p := r.AwaitPending(run, "back-off", rig.BackOff(2))
		if got := c.mark(p.GetLastFailure()); got != "latchkey:mark" {
			t.Errorf("%s: source %q where it is due, in %.300v", name, got, p.GetLastFailure())
		}
	}
}

// requestCancel cancels a workflow and waits until its activity knows.
func requestCancel(t *testing.T, r *rig.Rig, run client.WorkflowRun) {
	t.Helper()
	if err := r.Client.CancelWorkflow(r.Context(), run.GetID(), run.GetRunID()); err != nil {
		t.Fatalf("cancel workflow: %v", err)
	}
	r.AwaitPending(run, "cancellation requested", func(p *workflowpb.PendingActivityInfo) bool {
		return p.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
	})
}
