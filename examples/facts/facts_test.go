package facts

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/examples/internal/devserver/devtest"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

var server devtest.Shared

func TestMain(m *testing.M) {
	server.Options.DynamicConfig = map[string]any{
		"frontend.WorkflowPauseEnabled":              true, // off by default
		"history.transferProcessorUpdateAckInterval": "1s", // the deletion of an ended run waits for this interval
	}
	os.Exit(server.Main(m))
}

// decision is the result type of the activities in these tests.
type decision struct {
	Approved bool
	By       string
}

var approved = decision{Approved: true, By: "Ann"}

// awaitDecision is the workflow of most tests: it has one activity.
func awaitDecision(ctx workflow.Context, o workflow.ActivityOptions) (decision, error) {
	return rig.Await[decision](ctx, o)
}

func newRig(t *testing.T, register ...func(r worker.Registry)) *rig.Rig {
	t.Helper()
	return rig.New(t, rig.Options{Client: server.Client(t), Register: func(w worker.Registry) {
		w.RegisterWorkflow(awaitDecision)
		for _, f := range register {
			f(w)
		}
	}})
}

// patient are the options of an activity that does not time out within a test.
// Such an activity is also not retried within a test, unless the failure asks
// for that, as again does.
func patient() workflow.ActivityOptions {
	return workflow.ActivityOptions{
		StartToCloseTimeout: time.Hour,
		WaitForCancellation: true,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Hour},
	}
}

// soon is the timeout of an activity that must time out, but only after the
// test has used it.
const soon = 15 * time.Second

// again is a failure that is retried at once.
func again() error {
	return temporal.NewApplicationErrorWithOptions("again", "", temporal.ApplicationErrorOptions{NextRetryDelay: time.Millisecond})
}

// later is a failure that, with patient, is retried after the end of the test.
func later() error { return temporal.NewApplicationError("later", "") }

// completeByID answers an activity of a workflow by its IDs.
func completeByID(r *rig.Rig, info activity.Info, result any, err error) error {
	return r.Client.CompleteActivityByID(r.Context(), r.Namespace, info.WorkflowExecution.ID, info.WorkflowExecution.RunID, info.ActivityID, result, err)
}

// fail reports a failure with the raw call, which sends it unchanged.
func fail(r *rig.Rig, info activity.Info, failure *failurepb.Failure) error {
	_, err := r.Service().RespondActivityTaskFailed(r.Context(), &workflowservice.RespondActivityTaskFailedRequest{
		Namespace: r.Namespace, TaskToken: info.TaskToken, Identity: ours, Failure: failure,
	})
	return err
}

// ours is the identity of raw calls.
const ours = "facts/latchkey"

// beat sends a raw heartbeat without details.
func beat(r *rig.Rig, info activity.Info) (*workflowservice.RecordActivityTaskHeartbeatResponse, error) {
	return r.Service().RecordActivityTaskHeartbeat(r.Context(), &workflowservice.RecordActivityTaskHeartbeatRequest{
		Namespace: r.Namespace, TaskToken: info.TaskToken, Identity: ours,
	})
}

// failureFrom returns a retryable failure with a source.
func failureFrom(source string) *failurepb.Failure {
	return &failurepb.Failure{
		Message: "later", Source: source,
		FailureInfo: &failurepb.Failure_ApplicationFailureInfo{ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{}},
	}
}

// wantNil fails the test if err is not nil.
func wantNil(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %T %v, want nil", what, err, err)
	}
}

// wantError fails the test if err is not a server error of type E.
func wantError[E error](t *testing.T, what string, err error) {
	t.Helper()
	if _, ok := errors.AsType[E](err); !ok {
		t.Errorf("%s: %T %v, want a %T", what, err, err, *new(E))
	}
}

func wantNotFound(t *testing.T, what string, err error) {
	t.Helper()
	wantError[*serviceerror.NotFound](t, what, err)
}

// result waits for a workflow's result.
func result[T any](t *testing.T, r *rig.Rig, run interface {
	Get(ctx context.Context, value any) error
}) T {
	t.Helper()
	var value T
	if err := run.Get(r.Context(), &value); err != nil {
		t.Errorf("workflow's result: %v", err)
	}
	return value
}

// quiet is the logger for expected failures.
var quiet = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
