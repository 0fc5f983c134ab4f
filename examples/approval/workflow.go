package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
)

// Expense is what a person decides on.
type Expense struct {
	Employee string
	Purpose  string
	Cents    int64
}

// String is how a sentence names the expense.
func (e Expense) String() string {
	return fmt.Sprintf("%s, %s (%s)", e.Employee, e.Purpose, e.Amount())
}

// Amount is the sum, for people.
func (e Expense) Amount() string {
	whole := fmt.Sprint(e.Cents / 100)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("€%s.%02d", whole, e.Cents%100)
}

// Decision is what the outside answers. A rejection is an answer like any
// other, and no failure of the activity.
type Decision struct {
	Approved bool
	By       string
	Reason   string
}

// ResultType is the name under which a stored callback knows the type: what
// waits in a file goes on waiting when the Go type is renamed or moved.
func (Decision) ResultType() string { return "approval.Decision" }

// Validate is asked by Complete: what it refuses is never accepted.
func (d Decision) Validate() error {
	switch {
	case strings.TrimSpace(d.By) == "":
		return errors.New("a decision says by whom it is")
	case utf8.RuneCountInString(d.By) > 80:
		return errors.New("a name has at most 80 characters")
	case utf8.RuneCountInString(d.Reason) > 500:
		return errors.New("a reason has at most 500 characters")
	}
	return nil
}

// String is how a sentence tells the decision.
func (d Decision) String() string {
	s := "rejected"
	if d.Approved {
		s = "approved"
	}
	s += " by " + d.By
	if d.Reason != "" {
		s += ": " + d.Reason
	}
	return s
}

const (
	remindAfter = 2 * 24 * time.Hour
	giveUpAfter = 14 * 24 * time.Hour
)

// Reimburse has an expense decided, and returns what came of it in a sentence.
func Reimburse(ctx workflow.Context, e Expense) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		// An attempt that nobody has answered ends after two days, and the next
		// one asks again: that is the reminder. It has the same link.
		StartToCloseTimeout:    remindAfter,
		ScheduleToCloseTimeout: giveUpAfter,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute},
	})
	var (
		a *Activities
		d Decision
	)
	switch err := workflow.ExecuteActivity(ctx, a.Approve, e).Get(ctx, &d); {
	case temporal.IsTimeoutError(err):
		return fmt.Sprintf("%s: nobody has decided", e), nil
	case err != nil:
		return "", err
	}
	return fmt.Sprintf("%s: %s", e, d), nil
}

// Activities are those of the worker.
type Activities struct {
	hub *async.Hub

	// ask brings the question to whoever decides. Here it prints a link; with
	// others it sends a message. It may be asked the same again.
	ask func(ctx context.Context, e Expense, id string) error
}

// Approve is answered by a person. It returns at once, and its worker is free:
// what waits is an entry in the hub's store, and not a goroutine.
func (a *Activities) Approve(ctx context.Context, e Expense) (Decision, error) {
	o := async.StartOptions{Labels: labels(e)}
	return async.Start(ctx, a.hub, o, func(ctx context.Context, p async.Pending[Decision]) error {
		return a.ask(ctx, e, p.ID())
	})
}

// The labels of a callback are what the page shows of an expense.
const (
	labelEmployee = "employee"
	labelPurpose  = "purpose"
	labelAmount   = "amount"
)

func labels(e Expense) map[string]string {
	return map[string]string{labelEmployee: e.Employee, labelPurpose: e.Purpose, labelAmount: e.Amount()}
}
