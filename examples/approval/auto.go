package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"go.temporal.io/sdk/client"
)

// step is one answer in the story of -auto.
type step struct {
	who    string // a name; the ID is derived from the name
	does   string // the text of the story for this step
	link   bool   // the person uses the link of the mail, without sign-in
	amount string // of the expense
	form   url.Values
	status int // the status that the site must answer
}

var (
	approve = url.Values{"approved": {"true"}}
	reject  = url.Values{"approved": {"false"}}
)

// chapter is the part of the story about one expense.
type chapter struct {
	title  string
	steps  []step
	result string // of the workflow
	run    int    // the sample
}

var chapters = []chapter{
	{"Grace gets a mail with a link, and approves without sign-in.", []step{
		{"grace", "Grace approves by the link", true, "€84.20", with(approve, "_name", "Grace"), http.StatusSeeOther},
	}, "Ada, train tickets (€84.20): approved by link for grace@example.com, says Grace", 0},
	{"She signs in and rejects another. That is an answer, and no failure.", []step{
		{"grace", "Grace rejects", false, "€310.00", with(reject, "_comment", "we have one"), http.StatusSeeOther},
		{"grace", "The same again does no harm", false, "€310.00", with(reject, "_comment", "we have one"), http.StatusSeeOther},
		{"grace", "A different answer is too late", false, "€310.00", approve, http.StatusConflict},
	}, "Ada, espresso machine (€310.00): rejected by Grace: we have one", 1},
	{"Frances decides on Grace's lunch. She is away, and passes it on.", []step{
		{"frances", "Frances passes it on to Edsger", false, "€38.50", url.Values{"_do": {"delegate"}, "_to": {"edsger@example.com"}}, http.StatusSeeOther},
		{"grace", "Grace tries to approve her own", false, "€38.50", approve, http.StatusForbidden},
		{"edsger", "Edsger approves", false, "€38.50", approve, http.StatusSeeOther},
	}, "Grace, lunch with a customer (€38.50): approved by Edsger", 2},
	{"Above €1,000 two of finance decide, and never who filed the expense.", []step{
		{"barbara", "Barbara tries to approve her own", false, "€4,800.00", approve, http.StatusForbidden},
		{"ada", "Ada is not of finance", false, "€4,800.00", approve, http.StatusForbidden},
		{"edsger", "Edsger approves", false, "€4,800.00", approve, http.StatusSeeOther},
		{"edsger", "Edsger again, who counts once", false, "€4,800.00", approve, http.StatusSeeOther},
		{"frances", "Frances approves", false, "€4,800.00", approve, http.StatusSeeOther},
	}, "Barbara, rack of servers (€4,800.00): approved by Edsger and Frances", 3},
}

func with(form url.Values, name, value string) url.Values {
	return url.Values{"approved": form["approved"], name: {value}}
}

// tell plays the story of -auto. Its people act over HTTP as their browsers
// would. tell prints each step, and returns an error at the first step with an
// unexpected result.
func tell(ctx context.Context, o *office, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 8*time.Minute, errors.New("-auto has not come to its end within eight minutes"))
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	t := &teller{office: o, out: out, items: make(map[string]string)}
	t.say("Four expenses are filed. Each is a workflow that now waits for people.\n")
	runs := make([]client.WorkflowRun, len(samples))
	for n, e := range samples {
		if runs[n], err = o.File(ctx, e); err != nil {
			return err
		}
	}
	if err := t.await(ctx); err != nil {
		return err
	}
	for _, e := range samples {
		waits := "for the manager"
		if e.Cents > financeAbove {
			waits = "for two of finance"
		}
		t.say("  %-8s %-22s %10s   waits %s\n", e.Name, e.Purpose, e.Amount(), waits)
	}
	for _, c := range chapters {
		t.say("\n%s\n", c.title)
		for _, s := range c.steps {
			if err := t.act(ctx, s); err != nil {
				return err
			}
		}
		if err := t.verify(ctx, runs[c.run], c.result); err != nil {
			return err
		}
	}
	t.say("\nAll as it should be: %d workflows, each with its decision and the names of who decided.\n", len(runs))
	return nil
}

// teller tells the story.
type teller struct {
	*office
	out   io.Writer
	items map[string]string // by title
}

func (t *teller) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, format, args...) // the reader may be gone
}

// await waits until each expense is in the inbox of a person who decides.
func (t *teller) await(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, id := range []string{"grace@example.com", "frances@example.com"} {
			v, err := newVisitor(ctx, t.base, id)
			if err != nil {
				return err
			}
			items, err := v.waiting(ctx)
			if err != nil {
				return err
			}
			for _, i := range items {
				t.items[i.Title] = i.Item
			}
		}
		if len(t.items) == len(samples) && len(t.mails.Sent("grace@example.com")) == 2 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d expenses wait: %w", len(t.items), len(samples), ctx.Err())
		}
	}
}

// act runs a step.
func (t *teller) act(ctx context.Context, s step) error {
	id, title := s.who+"@example.com", "Expense of "+s.amount
	address := t.base + "/inbox/i/" + t.items[title]
	if s.link {
		for _, m := range t.mails.Sent(id) {
			if m.Subject == title {
				address, id = m.Link, ""
			}
		}
	}
	v, err := newVisitor(ctx, t.base, id)
	if err != nil {
		return err
	}
	status, err := v.post(ctx, address, s.form)
	if err != nil {
		return fmt.Errorf("%s: the site doesn't answer: %w", s.does, err)
	}
	outcome := "accepted"
	if status != http.StatusSeeOther {
		outcome = "refused"
	}
	t.say("  %-34s %s (%d %s)\n", s.does, outcome, status, http.StatusText(status))
	if status != s.status {
		return fmt.Errorf("%s: the site answers %d, not %d", s.does, status, s.status)
	}
	return nil
}

// verify asks Temporal for the result of a workflow.
func (t *teller) verify(ctx context.Context, run client.WorkflowRun, want string) error {
	var got string
	if err := t.client.GetWorkflow(ctx, run.GetID(), run.GetRunID()).Get(ctx, &got); err != nil {
		return fmt.Errorf("the workflow: %w", err)
	}
	t.say("  the workflow's result: %s\n", got)
	if got != want {
		return fmt.Errorf("the workflow returned %q, not %q", got, want)
	}
	return nil
}
