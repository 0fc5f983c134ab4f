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

// String names the expense in a sentence.
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

// Decision is the answer. A rejection is an answer, not a failure of the activity.
type Decision struct {
	Approved bool
	By       string
	Reason   string
}

// ResultType is the name of the type in the store. Entries with this name still
// match after the Go type is renamed or moved.
func (Decision) ResultType() string { return "approval.Decision" }

// Validate is called by Complete, which accepts no invalid decision.
func (d Decision) Validate() error {
	switch {
	case strings.TrimSpace(d.By) == "":
		return errors.New("a decision must have a name")
	case utf8.RuneCountInString(d.By) > 80:
		return errors.New("a name must have at most 80 characters")
	case utf8.RuneCountInString(d.Reason) > 500:
		return errors.New("a reason must have at most 500 characters")
	}
	return nil
}

// String describes the decision in a sentence.
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

// Reimburse waits for the decision on an expense, and returns it as a sentence.
func Reimburse(ctx workflow.Context, e Expense) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		// An attempt without an answer ends after two days. The next attempt asks
		// again under the same link, as a reminder.
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
		return fmt.Sprintf("%s: no decision in time", e), nil
	case err != nil:
		return "", err
	}
	return fmt.Sprintf("%s: %s", e, d), nil
}

// Activities are those of the worker.
type Activities struct {
	hub *async.Hub

	// ask sends the question to the person who decides. Here it prints a link; a
	// real program would send a message. It may be called again for the same
	// expense.
	ask func(ctx context.Context, e Expense, id string) error
}

// Approve waits for a person's answer. It returns at once and frees its worker: an
// entry in the hub's store waits, and no goroutine.
func (a *Activities) Approve(ctx context.Context, e Expense) (Decision, error) {
	o := async.StartOptions{Labels: labels(e)}
	return async.Start(ctx, a.hub, o, func(ctx context.Context, p async.Pending[Decision]) error {
		return a.ask(ctx, e, p.ID())
	})
}

// The labels of a callback are what the page shows about an expense.
const (
	labelEmployee = "employee"
	labelPurpose  = "purpose"
	labelAmount   = "amount"
)

func labels(e Expense) map[string]string {
	return map[string]string{labelEmployee: e.Employee, labelPurpose: e.Purpose, labelAmount: e.Amount()}
}
