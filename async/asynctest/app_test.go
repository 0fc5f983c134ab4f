package asynctest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
)

// This is the application that docs/testing.md tests.

// Decision is what somebody says to an expense.
type Decision struct {
	Approved bool
	By       string
}

// ResultType names the type for good.
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
		return "nobody answered", nil
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

// Answers takes a decision as JSON, under the callback ID.
func Answers(hub *async.Hub) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /answers/{id}", func(w http.ResponseWriter, r *http.Request) {
		var d Decision
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p, err := async.Open[Decision](r.Context(), hub, r.PathValue("id"))
		if err == nil {
			err = p.Complete(r.Context(), d)
		}
		w.WriteHeader(status(err))
	})
	return mux
}

func status(err error) int {
	switch {
	case err == nil:
		return http.StatusNoContent
	case errors.Is(err, async.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, async.ErrSettled), errors.Is(err, async.ErrSuperseded):
		return http.StatusConflict
	case errors.Is(err, async.ErrClosed):
		return http.StatusGone
	case errors.Is(err, async.ErrTypeMismatch), errors.Is(err, async.ErrInvalidResult):
		return http.StatusUnprocessableEntity
	default:
		return http.StatusServiceUnavailable // whoever asked may repeat it
	}
}
