package asynctest_test

import (
	"context"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
)

func TestExpenseWorkflow(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	hub := asynctest.NewHub(t, async.Options{Completer: asynctest.EnvCompleter(env)})
	env.RegisterActivity(&Activities{Hub: hub, Mail: func(context.Context, string, string) error { return nil }})

	env.RegisterDelayedCallback(func() { // three days later
		waiting := asynctest.Pending(t, hub)
		if len(waiting) != 1 {
			t.Fatalf("%d activities wait, want 1", len(waiting))
		}
		p, err := async.Open[Decision](t.Context(), hub, waiting[0].ID())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Complete(t.Context(), Decision{Approved: true, By: "Ann"}); err != nil {
			t.Error(err)
		}
	}, 3*24*time.Hour)
	env.ExecuteWorkflow(ExpenseWorkflow, "train ticket")

	var result string
	if err := env.GetWorkflowResult(&result); err != nil || result != "paid, approved by Ann" {
		t.Errorf("the workflow returned %q, %v", result, err)
	}
}

func TestExpenseWorkflowTimesOut(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivityWithOptions(func(context.Context, string) (Decision, error) {
		return Decision{}, temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_START_TO_CLOSE, nil)
	}, activity.RegisterOptions{Name: "Approve"})
	env.ExecuteWorkflow(ExpenseWorkflow, "train ticket")

	var result string
	if err := env.GetWorkflowResult(&result); err != nil || result != "no answer in time" {
		t.Errorf("the workflow returned %q, %v", result, err)
	}
}
