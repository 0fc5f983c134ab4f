package completer

import (
	"errors"
	"testing"

	activitypb "go.temporal.io/api/activity/v1"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var standaloneTarget = Target{
	Namespace: "default", ActivityID: "5", ActivityRunID: "activity-run-1",
	TaskToken: []byte("token"), Scheduled: saidAt(0), Started: saidAt(1),
}

// saidActivity returns the server's description of a standalone activity, with
// its outcome if it has one.
func saidActivity(info *activitypb.ActivityExecutionInfo, o *activitypb.ActivityExecutionOutcome) *said {
	return &said{activity: &workflowservice.DescribeActivityExecutionResponse{Info: info, Outcome: o}}
}

// failedWith returns the outcome of an activity that did not complete.
func failedWith(f *failurepb.Failure) *activitypb.ActivityExecutionOutcome {
	return &activitypb.ActivityExecutionOutcome{Value: &activitypb.ActivityExecutionOutcome_Failure{Failure: f}}
}

// In backoff, the server still reports the time of the last start. Describe
// returns this time only while an attempt runs.
func TestStandalonePending(t *testing.T) {
	const isRunning, isPaused = enumspb.ACTIVITY_EXECUTION_STATUS_RUNNING, enumspb.ACTIVITY_EXECUTION_STATUS_PAUSED
	for name, c := range map[string]struct {
		status enumspb.ActivityExecutionStatus
		state  enumspb.PendingActivityState
		want   Status
	}{
		"running":                         {status: isRunning, state: enumspb.PENDING_ACTIVITY_STATE_STARTED, want: Status{Running: true, Started: saidAt(1)}},
		"running, cancellation requested": {status: isRunning, state: enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED, want: Status{Running: true, CancelRequested: true, Started: saidAt(1)}},
		"running, to be paused":           {status: isRunning, state: enumspb.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED, want: Status{Running: true, Paused: true, Started: saidAt(1)}},
		"in back-off":                     {status: isRunning, state: enumspb.PENDING_ACTIVITY_STATE_SCHEDULED, want: Status{}},
		"paused":                          {status: isPaused, state: enumspb.PENDING_ACTIVITY_STATE_PAUSED, want: Status{Paused: true}},
		"in a state of a newer server":    {status: isRunning, state: 99, want: Status{}},
	} {
		t.Run(name, func(t *testing.T) {
			failure := causedBy(marked("f1"))
			details := &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: []byte("half")}}}
			s := saidActivity(&activitypb.ActivityExecutionInfo{
				Status: c.status, RunState: c.state, Attempt: 3, LastStartedTime: timestamppb.New(saidAt(1)),
				LastFailure: failure, HeartbeatDetails: details, LastHeartbeatTime: timestamppb.New(saidAt(2)),
			}, nil)
			want := c.want
			want.Pending, want.LastMark, want.LastFailure, want.Details, want.LastHeartbeat = true, "f1", failure, details, saidAt(2)
			wantDescribed(t, s, standaloneTarget, "r1", want)
			wantPages(t, s)
		})
	}
}

// The server does not report who cancelled an activity, so the kind of our
// outcome decides. The last worker is the one that completed the activity.
func TestStandaloneEvidence(t *testing.T) {
	info := func(s enumspb.ActivityExecutionStatus, by string, last *failurepb.Failure) *activitypb.ActivityExecutionInfo {
		return &activitypb.ActivityExecutionInfo{Status: s, LastWorkerIdentity: by, LastFailure: last}
	}
	const (
		completed = enumspb.ACTIVITY_EXECUTION_STATUS_COMPLETED
		failed    = enumspb.ACTIVITY_EXECUTION_STATUS_FAILED
		canceled  = enumspb.ACTIVITY_EXECUTION_STATUS_CANCELED
		stopped   = enumspb.ACTIVITY_EXECUTION_STATUS_TERMINATED
		timedOut  = enumspb.ACTIVITY_EXECUTION_STATUS_TIMED_OUT
	)
	for name, c := range map[string]struct {
		mark    string
		info    *activitypb.ActivityExecutionInfo
		outcome *failurepb.Failure // nil if the server reports no end
		want    End
	}{
		"completed by us":                       {mark: "r1", info: info(completed, us, nil), outcome: nil, want: EndOurs},
		"completed by another":                  {mark: "r1", info: info(completed, others, nil), outcome: nil, want: EndOther},
		"completed by us, with another outcome": {mark: "f1", info: info(completed, us, nil), outcome: nil, want: EndOther},
		"completed by us, asked for none":       {mark: "", info: info(completed, us, nil), outcome: nil, want: EndOther},
		"our failure was retried, then done":    {mark: "f1", info: info(completed, others, marked("f1")), outcome: nil, want: EndOurs},
		"failed by us":                          {mark: "f1", info: info(failed, us, nil), outcome: marked("f1"), want: EndOurs},
		"failed by us, wrapped by the server":   {mark: "f1", info: info(failed, us, nil), outcome: causedBy(marked("f1")), want: EndOurs},
		"failed by us, as the last failure":     {mark: "f1", info: info(failed, us, marked("f1")), outcome: nil, want: EndOurs},
		"failed by us, with an earlier outcome": {mark: "f1", info: info(failed, us, marked("f0")), outcome: marked("f0"), want: EndOther},
		"failed by another":                     {mark: "f1", info: info(failed, us, new(failurepb.Failure)), outcome: new(failurepb.Failure), want: EndOther},
		"failed by another, asked for none":     {mark: "", info: info(failed, others, new(failurepb.Failure)), outcome: new(failurepb.Failure), want: EndOther},
		"canceled, ours was a cancellation":     {mark: "c1", info: info(canceled, others, nil), outcome: new(failurepb.Failure), want: EndOurs},
		"canceled, ours was a result":           {mark: "r1", info: info(canceled, us, nil), outcome: new(failurepb.Failure), want: EndOther},
		"canceled, ours was a failure":          {mark: "f1", info: info(canceled, us, nil), outcome: new(failurepb.Failure), want: EndOther},
		"canceled, asked for none":              {mark: "", info: info(canceled, us, nil), outcome: new(failurepb.Failure), want: EndOther},
		"timed out":                             {mark: "r1", info: info(timedOut, us, nil), outcome: new(failurepb.Failure), want: EndTimedOut},
		"timed out after our failure":           {mark: "f1", info: info(timedOut, us, nil), outcome: causedBy(marked("f1")), want: EndOurs},
		"timed out after another's failure":     {mark: "f1", info: info(timedOut, us, marked("f0")), outcome: causedBy(marked("f0")), want: EndTimedOut},
		"terminated":                            {mark: "r1", info: info(stopped, us, nil), outcome: new(failurepb.Failure), want: EndOther},
		"terminated after our failure":          {mark: "f1", info: info(stopped, us, marked("f1")), outcome: new(failurepb.Failure), want: EndOurs},
	} {
		t.Run(name, func(t *testing.T) {
			var o *activitypb.ActivityExecutionOutcome
			if c.outcome != nil {
				o = failedWith(c.outcome)
			}
			s := saidActivity(c.info, o)
			wantDescribed(t, s, standaloneTarget, c.mark, Status{End: c.want})
			wantPages(t, s)
		})
	}
}

// For a standalone activity too, only NotFound means that the server no longer
// knows it. The status of a newer server is an error.
func TestStandaloneErrors(t *testing.T) {
	wantDescribed(t, &said{err: serviceerror.NewNotFound("activity")}, standaloneTarget, "r1", Status{End: EndUnknown})
	for err, class := range map[error]error{
		serviceerror.NewUnavailable("away"):          nil,
		serviceerror.NewNamespaceNotFound("default"): ErrRefused,
		serviceerror.NewPermissionDenied("no", ""):   ErrRefused,
	} {
		_, got := (&said{err: err}).completer(t).Describe(t.Context(), standaloneTarget, "r1")
		wantClass(t, got, class)
		if !errors.Is(got, err) {
			t.Errorf("%v has lost its cause", got)
		}
	}
	for _, status := range []enumspb.ActivityExecutionStatus{enumspb.ACTIVITY_EXECUTION_STATUS_UNSPECIFIED, 99} {
		s := saidActivity(&activitypb.ActivityExecutionInfo{Status: status, LastFailure: marked("f1")}, nil)
		got, err := s.completer(t).Describe(t.Context(), standaloneTarget, "f1")
		wantClass(t, err, nil)
		if got != (Status{}) {
			t.Errorf("guessed %v from the status %v", got, status)
		}
	}
}
