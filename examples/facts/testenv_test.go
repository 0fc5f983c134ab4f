package facts

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

func newEnv(t *testing.T, answer func(env *testsuite.TestWorkflowEnvironment, token []byte)) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet)
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterWorkflow(awaitDecision)
	env.RegisterActivityWithOptions(func(ctx context.Context) (decision, error) {
		token := activity.GetInfo(ctx).TaskToken
		env.RegisterDelayedCallback(func() { answer(env, token) }, 0)
		return decision{}, activity.ErrResultPending
	}, activity.RegisterOptions{Name: rig.Activity})
	return env
}

// In TestWorkflowEnvironment, a second completion returns nil, unlike on a
// server.
func TestEnvironmentSecondCompletion(t *testing.T) {
	t.Parallel()
	env := newEnv(t, func(env *testsuite.TestWorkflowEnvironment, token []byte) {
		wantNil(t, "first completion", env.CompleteActivity(token, approved, nil))
		wantNil(t, "second completion", env.CompleteActivity(token, decision{By: "somebody else"}, nil))
	})
	env.ExecuteWorkflow(awaitDecision, patient())
	var got decision
	if err := env.GetWorkflowResult(&got); err != nil || got != approved {
		t.Errorf("the workflow read %+v, %v, want the first answer %+v", got, err, approved)
	}
}

// In TestWorkflowEnvironment, a waiting activity never times out. When nothing
// else is left to do, time skips to the workflow's own timeout, which is ten
// years by default.
func TestEnvironmentSkipsTime(t *testing.T) {
	t.Parallel()
	env := newEnv(t, func(*testsuite.TestWorkflowEnvironment, []byte) {}) // no answer is given
	o := patient()
	o.StartToCloseTimeout = 100 * time.Hour
	o.RetryPolicy.MaximumAttempts = 1
	before := env.Now()
	env.ExecuteWorkflow(awaitDecision, o)
	wantError[*temporal.TimeoutError](t, "workflow's result", env.GetWorkflowError())
	if err, of := errors.AsType[*temporal.ActivityError](env.GetWorkflowError()); of {
		t.Errorf("the activity timed out: %v", err)
	}
	if skipped := env.Now().Sub(before); skipped <= o.StartToCloseTimeout {
		t.Errorf("time skipped by %v, want past the activity's time-out of %v", skipped, o.StartToCloseTimeout)
	}
}
