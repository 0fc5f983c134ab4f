package facts

import (
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
)

// The test completes with the wrong struct: CompleteActivity returns nil; the
// workflow reads a zero value (Approved:false) as the answer. A nil pointer as
// the result also makes the workflow read a zero value.
func TestWrongStructIsZero(t *testing.T) {
	t.Parallel()
	type weather struct{ Celsius float64 }
	r := newRig(t)
	for name, wrong := range map[string]any{
		"another struct": weather{Celsius: 21},
		"nil pointer":    (*decision)(nil),
		"nil":            nil,
	} {
		run := r.Start(awaitDecision, patient())
		wantNil(t, name, r.Client.CompleteActivity(r.Context(), r.Next().TaskToken, wrong, nil))
		if got := result[decision](t, r, run); got != (decision{}) {
			t.Errorf("%s: the workflow read %+v, want a zero value", name, got)
		}
	}
}

// A completion with a string instead of a struct returns nil, and the workflow
// fails when it decodes the result.
func TestStringForStruct(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.Start(awaitDecision, patient())
	wantNil(t, "completion with a string", r.Client.CompleteActivity(r.Context(), r.Next().TaskToken, "approved", nil))
	if err := run.Get(r.Context(), nil); err == nil {
		t.Error("the workflow ended well, want it to fail on decoding")
	}
	if r.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED) == nil || r.Event(run, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED) == nil {
		t.Error("want in history: the activity completed, the workflow failed")
	}
}
