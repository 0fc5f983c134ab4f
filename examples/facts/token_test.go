package facts

import (
	"testing"

	tokenspb "go.temporal.io/server/api/token/v1"
	"google.golang.org/protobuf/proto"
)

// A task token is clear, unsigned protobuf. The server accepts a token with
// another attempt number, so a token is an address and not a credential. A task
// token has about 136 bytes.
func TestTokenIsAnAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run, infos := runTo(t, r, patient(), 2)
	first := infos[0]
	if n := len(first.TaskToken); n < 100 || n > 200 {
		t.Errorf("a token of %d bytes, want about 136", n)
	}
	var token tokenspb.Task
	if err := proto.Unmarshal(first.TaskToken, &token); err != nil {
		t.Fatalf("token as protobuf: %v", err)
	}
	if token.GetWorkflowId() != run.GetID() || token.GetRunId() != run.GetRunID() || token.GetActivityId() != first.ActivityID || token.GetAttempt() != 1 {
		t.Errorf("token says %v, want the workflow's, the run's and the activity's IDs, and attempt 1", &token)
	}
	wantNotFound(t, "the first attempt's token", r.Client.CompleteActivity(r.Context(), first.TaskToken, approved, nil))
	token.Attempt = 2
	altered, err := proto.Marshal(&token)
	if err != nil {
		t.Fatal(err)
	}
	wantNil(t, "the same with the attempt altered", r.Client.CompleteActivity(r.Context(), altered, approved, nil))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}
