package asynctest_test

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// This is the application that docs/testing.md tests.

// Decision is the answer to an expense.
type Decision struct {
	Approved bool
	By       string
}

// ResultType returns a permanent name for the type.
func (Decision) ResultType() string { return "expenses.Decision" }

type Activities struct {
	Hub  *async.Hub
	Mail func(ctx context.Context, expense, id string) error
}

func (a *Activities) Approve(ctx context.Context, expense string) (Decision, error) {
	return async.Start(ctx, a.Hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
		return a.Mail(ctx, expense, p.ID())
	})
}

func ExpenseWorkflow(ctx workflow.Context, expense string) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 30 * 24 * time.Hour})
	var a *Activities
	var d Decision
	err := workflow.ExecuteActivity(ctx, a.Approve, expense).Get(ctx, &d)
	switch {
	case isTimeout(err):
		return "no answer in time", nil
	case err != nil:
		return "", err
	case !d.Approved:
		return "declined by " + d.By, nil
	default:
		return "paid, approved by " + d.By, nil
	}
}

func isTimeout(err error) bool {
	_, ok := errors.AsType[*temporal.TimeoutError](err)
	return ok
}

// Answers is a handler that takes a decision as JSON, with the callback ID in
// the path.
func Answers(hub *async.Hub) (http.Handler, error) {
	decision, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		return nil, err
	}
	answers, err := webhook.New(hub, webhook.Options{Types: []answer.Type{decision}})
	if err != nil {
		return nil, err
	}
	return http.StripPrefix("/answers", answers), nil
}
