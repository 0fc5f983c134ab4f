package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async"
)

// Payment is not the type that the expenses await.
type Payment struct{ Approved bool }

// ResultType is the name of the type in the store.
func (Payment) ResultType() string { return "approval.Payment" }

// answerAll runs the steps of -auto. It answers over HTTP as a person would, prints
// each step, and returns an error at the first unexpected result.
func answerAll(ctx context.Context, desk *Desk, base string, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("-auto has not ended within two minutes"))
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	a := &account{Desk: desk, base: base, out: out, runs: make(map[string]client.WorkflowRun)}

	a.say("Four expenses are filed. Each is a workflow that now waits for a person.\n")
	for _, e := range samples {
		if a.runs[e.Employee], err = desk.File(ctx, e); err != nil {
			return err
		}
	}
	items, err := a.await(ctx)
	if err != nil {
		return err
	}
	for _, i := range items {
		a.say("  %-8s %-22s %10s   waits\n", i.Employee(), i.Purpose(), i.Amount())
	}

	const by = "Accounts"
	var (
		approve = Decision{Approved: true, By: by}
		reject  = Decision{By: by, Reason: "we have one"}
	)
	for _, step := range []struct {
		title    string
		employee string
		decision Decision
		status   int
		result   string // of the workflow
	}{
		{"A person approves, and the workflow goes on.", "Ada", approve, http.StatusSeeOther,
			"Ada, train tickets (€84.20): approved by Accounts"},
		{"A person rejects another. A rejection is an answer, not a failure.", "Grace", reject, http.StatusSeeOther,
			"Grace, espresso machine (€1,299.00): rejected by Accounts: we have one"},
		{"The same answer again is accepted and changes nothing.", "Grace", reject, http.StatusSeeOther,
			"Grace, espresso machine (€1,299.00): rejected by Accounts: we have one"},
		{"A different answer is refused.", "Grace", approve, http.StatusConflict,
			"Grace, espresso machine (€1,299.00): rejected by Accounts: we have one"},
	} {
		a.say("\n%s\n", step.title)
		if err := a.answer(ctx, items, step.employee, step.decision, step.status); err != nil {
			return err
		}
		if err := a.verify(ctx, step.employee, step.result); err != nil {
			return err
		}
	}

	a.say("\nAn answer of the wrong type is refused before it reaches Temporal.\n")
	if err := a.offerPayment(ctx, a.of(items, "Edsger")); err != nil {
		return err
	}

	a.say("\nThe other two still wait. A person approves them.\n")
	for _, last := range []struct{ employee, result string }{
		{"Edsger", "Edsger, lunch with a customer (€38.50): approved by Accounts"},
		{"Barbara", "Barbara, conference ticket (€310.00): approved by Accounts"},
	} {
		if err := a.answer(ctx, items, last.employee, approve, http.StatusSeeOther); err != nil {
			return err
		}
		if err := a.verify(ctx, last.employee, last.result); err != nil {
			return err
		}
	}
	a.say("\nAll as expected: %d workflows, each with the result of its first answer.\n", len(a.runs))
	return nil
}

// account prints the steps of -auto and compares their results.
type account struct {
	*Desk
	base string
	out  io.Writer
	runs map[string]client.WorkflowRun // by employee
}

func (a *account) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.out, format, args...) // a reader that is gone misses nothing
}

// await waits until all filed expenses are in the store, and returns them in the
// order of the samples.
func (a *account) await(ctx context.Context) ([]Item, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		all, err := a.List(ctx)
		if err != nil {
			return nil, err
		}
		var items []Item
		for _, e := range samples {
			of := func(i Item) bool { return i.Info.WorkflowID == a.runs[e.Employee].GetID() && i.Waits() }
			if n := slices.IndexFunc(all, of); n >= 0 {
				items = append(items, all[n])
			}
		}
		if len(items) == len(samples) {
			return items, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d expenses wait: %w", len(items), len(samples), ctx.Err())
		}
	}
}

func (a *account) of(items []Item, employee string) Item {
	return items[slices.IndexFunc(items, func(i Item) bool { return i.Employee() == employee })]
}

// answer posts the page's form as a browser does.
func (a *account) answer(ctx context.Context, items []Item, employee string, d Decision, want int) error {
	form := url.Values{"answer": {"reject"}, "by": {d.By}, "reason": {d.Reason}}
	if d.Approved {
		form.Set("answer", "approve")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+link(a.of(items, employee).ID), strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultTransport.RoundTrip(request) // returns the status itself and follows no redirect
	if err != nil {
		return fmt.Errorf("%s's expense: the page doesn't answer: %w", employee, errors.Unwrap(err))
	}
	_ = answer.Body.Close()
	verb, outcome := form.Get("answer"), "accepted"
	if answer.StatusCode == http.StatusConflict {
		outcome = "refused"
	}
	a.say("  %-31s %s (%d %s)\n", verb+" "+employee+"'s expense", outcome, answer.StatusCode, http.StatusText(answer.StatusCode))
	if answer.StatusCode != want {
		return fmt.Errorf("%s %s's expense: the page answers %d, not %d", verb, employee, answer.StatusCode, want)
	}
	return nil
}

// verify compares what a workflow returned with what it should return.
func (a *account) verify(ctx context.Context, employee, want string) error {
	run := a.runs[employee]
	var got string
	if err := a.client.GetWorkflow(ctx, run.GetID(), run.GetRunID()).Get(ctx, &got); err != nil {
		return fmt.Errorf("%s's workflow: %w", employee, err)
	}
	a.say("  the workflow's result: %s\n", got)
	if got != want {
		return fmt.Errorf("%s's workflow returned %q, not %q", employee, got, want)
	}
	return nil
}

// offerPayment answers with the wrong type, as a faulty program would.
func (a *account) offerPayment(ctx context.Context, i Item) error {
	_, err := async.Open[Payment](ctx, a.hub, i.ID)
	mismatch, ok := errors.AsType[*async.TypeMismatchError](err)
	if !ok {
		return fmt.Errorf("opening %s's expense with another type: %v, want a type mismatch", i.Employee(), err)
	}
	a.say("  %-31s refused: it awaits %s, not %s\n", "a payment for "+i.Employee()+"'s expense", mismatch.Want, mismatch.Got)
	again, err := a.Look(ctx, i.ID)
	if err == nil && !again.Waits() {
		err = fmt.Errorf("%s's expense no longer waits after an answer of the wrong type", i.Employee())
	}
	return err
}
