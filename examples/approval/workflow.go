package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/inbox"
)

// Expense is a request for money that people decide on.
type Expense struct {
	Employee string // the ID of the person who filed it
	Name     string // name of that person, for sentences
	Purpose  string
	Cents    int64
}

// String returns the expense's name in a sentence.
func (e Expense) String() string {
	return fmt.Sprintf("%s, %s (%s)", e.Name, e.Purpose, e.Amount())
}

// Decision is the answer that the activity waits for. The form on the page has
// only the field Approved: SetDecided sets the other fields. A rejection is an
// ordinary answer and not a failure of the activity.
type Decision struct {
	Approved bool         `json:"approved"`
	Decided  []inbox.Vote `json:"decided,omitempty"`
}

// ResultType returns the name of the type in the store. The stored name stays
// the same if the Go type is renamed.
func (Decision) ResultType() string { return "approval.Decision" }

// SetDecided is called with the votes before the decision is accepted, so the
// result in Temporal's history has the names.
func (d *Decision) SetDecided(by []inbox.Vote) { d.Decided = by }

// String returns the decision as a sentence.
func (d Decision) String() string {
	verb, names, comments := "rejected", []string(nil), ""
	if d.Approved {
		verb = "approved"
	}
	for _, v := range d.Decided {
		if !v.Agrees {
			continue
		}
		name := v.By.Name
		if v.By.Link { // only the mail address is certain
			name = v.By.String()
		}
		names = append(names, name)
		if v.Comment != "" {
			comments += ": " + v.Comment
		}
	}
	return verb + " by " + strings.Join(names, " and ") + comments
}

// giveUpAfter is how long an expense waits for a decision.
const giveUpAfter = 14 * 24 * time.Hour

// Reimburse waits for the decision on an expense, and sends it to the employee.
func Reimburse(ctx workflow.Context, e Expense) (string, error) {
	retry := &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: time.Minute}
	var (
		a        *Activities
		d        Decision
		sentence string
	)
	waiting := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{ScheduleToCloseTimeout: giveUpAfter, RetryPolicy: retry})
	switch err := workflow.ExecuteActivity(waiting, a.Approve, e).Get(ctx, &d); {
	case temporal.IsTimeoutError(err):
		sentence = fmt.Sprintf("%s: not decided in time", e)
	case err != nil:
		return "", err
	default:
		sentence = fmt.Sprintf("%s: %s", e, d)
	}
	sending := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, RetryPolicy: retry})
	return sentence, workflow.ExecuteActivity(sending, a.Inform, e.Employee, sentence).Get(ctx, nil)
}

// Activities are the activities of the worker.
type Activities struct {
	Hub   *async.Hub
	Inbox *inbox.Inbox
	Send  func(m Mail)
}

// Approve waits until people have decided. Approve returns at once, and its
// worker is free: an entry in the hub's store waits, and no goroutine.
func (a *Activities) Approve(ctx context.Context, e Expense) (Decision, error) {
	o := async.StartOptions{Labels: map[string]string{labelExpense: e.String()}}
	return async.Start(ctx, a.Hub, o, func(ctx context.Context, p async.Pending[Decision]) error {
		_, err := a.Inbox.Post(ctx, p.Callback, requestFor(e))
		return err
	})
}

// labelExpense is the label that shows operators which expense waits.
const labelExpense = "expense"

// Inform sends the decision to the employee. Inform is an ordinary activity.
func (a *Activities) Inform(_ context.Context, employee, sentence string) error {
	a.Send(Mail{To: employee, Subject: "Decided: " + sentence})
	return nil
}
