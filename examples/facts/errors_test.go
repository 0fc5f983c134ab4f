package facts

import (
	"strings"
	"testing"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	tokenspb "go.temporal.io/server/api/token/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// unknownID is a UUID that no object has.
const unknownID = "11111111-1111-4111-8111-111111111111"

// call is one of the four ways to answer by token.
type call func(r *rig.Rig, namespace string, token []byte) error

func calls() map[string]call {
	return map[string]call{
		"complete": func(r *rig.Rig, namespace string, token []byte) error {
			_, err := r.Service().RespondActivityTaskCompleted(r.Context(), &workflowservice.RespondActivityTaskCompletedRequest{Namespace: namespace, TaskToken: token})
			return err
		},
		"fail": func(r *rig.Rig, namespace string, token []byte) error {
			_, err := r.Service().RespondActivityTaskFailed(r.Context(), &workflowservice.RespondActivityTaskFailedRequest{Namespace: namespace, TaskToken: token, Failure: failureFrom(mark)})
			return err
		},
		"cancel": func(r *rig.Rig, namespace string, token []byte) error {
			_, err := r.Service().RespondActivityTaskCanceled(r.Context(), &workflowservice.RespondActivityTaskCanceledRequest{Namespace: namespace, TaskToken: token})
			return err
		},
		"heartbeat": func(r *rig.Rig, namespace string, token []byte) error {
			_, err := r.Service().RecordActivityTaskHeartbeat(r.Context(), &workflowservice.RecordActivityTaskHeartbeatRequest{Namespace: namespace, TaskToken: token})
			return err
		},
	}
}

// For an unknown namespace, the gRPC code is NotFound too, but the error has a
// type of its own. A refused call must not be treated as an ended activity.
func TestUnknownNamespace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Start(awaitDecision, patient())
	info := r.Next()
	var token tokenspb.Task
	if err := proto.Unmarshal(info.TaskToken, &token); err != nil {
		t.Fatal(err)
	}
	token.NamespaceId = unknownID
	foreign, err := proto.Marshal(&token)
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range calls() {
		for what, err := range map[string]error{
			name + ", namespace of the request unknown": call(r, "nonesuch", info.TaskToken),
			name + ", namespace of the token unknown":   call(r, r.Namespace, foreign),
		} {
			wantError[*serviceerror.NamespaceNotFound](t, what, err)
			if code := serviceerror.ToStatus(err).Code(); code != codes.NotFound {
				t.Errorf("%s: code %v, want %v", what, code, codes.NotFound)
			}
		}
		wantError[*serviceerror.InvalidArgument](t, name+", another namespace than the token's", call(r, "temporal-system", info.TaskToken))
	}
	byID := r.Client.CompleteActivityByID(r.Context(), "nonesuch", info.WorkflowExecution.ID, info.WorkflowExecution.RunID, info.ActivityID, approved, nil)
	wantError[*serviceerror.NamespaceNotFound](t, "complete by ID", byID)
}

// A malformed token is an invalid argument.
func TestGarbageToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, call := range calls() {
		wantError[*serviceerror.InvalidArgument](t, name+", garbage", call(r, r.Namespace, []byte("garbage token!")))
		wantError[*serviceerror.InvalidArgument](t, name+", empty", call(r, r.Namespace, nil))
	}
}

// An answer gets NotFound if its activity ID, its run ID or its workflow ID
// matches no pending activity.
func TestUnknownIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Start(awaitDecision, patient())
	info := r.Next()
	for name, change := range map[string]func(info *activity.Info){
		"activity": func(info *activity.Info) { info.ActivityID = "nonesuch" },
		"run":      func(info *activity.Info) { info.WorkflowExecution.RunID = unknownID },
		"workflow": func(info *activity.Info) { info.WorkflowExecution.ID = "nonesuch" },
	} {
		other := info
		change(&other)
		wantNotFound(t, name+", complete", completeByID(r, other, approved, nil))
		wantNotFound(t, name+", fail", completeByID(r, other, nil, later()))
		wantNotFound(t, name+", cancel", completeByID(r, other, nil, temporal.NewCanceledError()))
	}
}

// A failure must be an application failure at the top. Any other failure is an
// invalid argument, whatever the token. If another kind of SDK error is given
// as the failure, it is therefore refused and lost.
func TestFailureMustBeApplications(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	for name, failure := range map[string]*failurepb.Failure{
		"without info": {Message: "no"},
		"time-out":     {FailureInfo: &failurepb.Failure_TimeoutFailureInfo{TimeoutFailureInfo: &failurepb.TimeoutFailureInfo{}}},
		"cancellation": {FailureInfo: &failurepb.Failure_CanceledFailureInfo{CanceledFailureInfo: &failurepb.CanceledFailureInfo{}}},
	} {
		err := fail(r, info, failure)
		wantError[*serviceerror.InvalidArgument](t, name, err)
		if err != nil && !strings.Contains(err.Error(), "ApplicationFailureInfo") {
			t.Errorf("%s: %v, want it to name ApplicationFailureInfo", name, err)
		}
	}
	timeout := temporal.NewHeartbeatTimeoutError()
	wantError[*serviceerror.InvalidArgument](t, "the SDK's own time-out error", r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, timeout))
	if p := r.Pending(run); p == nil || p.GetLastFailure() != nil {
		t.Errorf("pending: %v, want the activity to go on", p)
	}
}
