// Package patterns_test contains the code of docs/approvals.md, as an
// application has it.
package patterns_test

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/inbox"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// Decision is the answer that people give.
type Decision struct {
	Approved bool         `json:"approved"`
	Decided  []inbox.Vote `json:"decided,omitempty"`
}

// SetDecided is called with the votes before the decision is accepted.
func (d *Decision) SetDecided(by []inbox.Vote) { d.Decided = by }

func newInbox(hub *async.Hub, users Users, keys *webhook.Keys) (*inbox.Inbox, error) {
	decision, err := answer.For[Decision](answer.TypeOptions{})
	if err != nil {
		return nil, err
	}
	return inbox.New(hub, inbox.Options{
		Types:    []answer.Type{decision},
		Identify: users.SignedIn,    // the person who made a request
		Lookup:   users.Find,        // the groups of a link's addressee
		Links:    keys,              // answers without sign-in
		OnPost:   users.SendMessage, // mail or chat
		Base:     "https://example.com/inbox",
	})
}

// Approve waits until people have decided on an expense.
func (a *Activities) Approve(ctx context.Context, e Expense, r inbox.Request) (Decision, error) {
	return async.Start(ctx, a.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Decision]) error {
		r.Title = "Expense of " + e.Amount
		r.Facts = []inbox.Fact{{Name: "Employee", Value: e.Employee}, {Name: "Purpose", Value: e.Purpose}}
		_, err := a.inbox.Post(ctx, p.Callback, r)
		return err
	})
}

// Escalate asks managers, and after two days also directors. The first decision
// counts.
func Escalate(ctx workflow.Context, e Expense) (Decision, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{ScheduleToCloseTimeout: 14 * 24 * time.Hour, WaitForCancellation: false})
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel() // the request without a decision is no longer wanted
	var a *Activities
	ask := func(group string) workflow.Future {
		return workflow.ExecuteActivity(ctx, a.Approve, e, inbox.Request{For: []string{group}, NotBy: []string{e.Employee}})
	}
	managers := ask("managers")
	if ok, err := workflow.AwaitWithTimeout(ctx, 2*24*time.Hour, managers.IsReady); err != nil {
		return Decision{}, err
	} else if ok {
		return decided(ctx, managers)
	}
	directors := ask("directors")
	if err := workflow.Await(ctx, func() bool { return managers.IsReady() || directors.IsReady() }); err != nil {
		return Decision{}, err
	}
	if managers.IsReady() {
		return decided(ctx, managers)
	}
	return decided(ctx, directors)
}

func decided(ctx workflow.Context, f workflow.Future) (d Decision, err error) {
	err = f.Get(ctx, &d)
	return d, err
}

// Expense is the expense that people decide on.
type Expense struct{ Employee, Purpose, Amount string }

// Activities are the activities of the application.
type Activities struct {
	hub   *async.Hub
	inbox *inbox.Inbox
}

// Users is the application's directory.
type Users interface {
	SignedIn(w http.ResponseWriter, r *http.Request) (inbox.Person, error)
	Find(ctx context.Context, id string) (inbox.Person, error)
	SendMessage(ctx context.Context, who string, r inbox.Request, link string) error
}

// TestDocument: the code of docs/approvals.md occurs in this file, word for
// word.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/approvals.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("patterns_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 4 {
		t.Errorf("docs/approvals.md has %d blocks of code, want 4", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(string(code), b[1]) {
			t.Errorf("this file has no such code:\n%s", b[1])
		}
	}
}

// TestEscalate: directors get the request after two days, but not before.
func TestEscalate(t *testing.T) {
	for _, late := range []bool{false, true} {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestWorkflowEnvironment()
		env.RegisterWorkflow(Escalate)
		asked := ""
		began := env.Now()
		env.RegisterActivityWithOptions(func(_ context.Context, _ Expense, r inbox.Request) (Decision, error) {
			asked += r.For[0] + " after " + env.Now().Sub(began).String() + " "
			if late && r.For[0] == "managers" {
				return Decision{}, activity.ErrResultPending // the managers never answer
			}
			return Decision{Approved: true}, nil
		}, activity.RegisterOptions{Name: "Approve"})
		env.ExecuteWorkflow(Escalate, Expense{})
		var d Decision
		if err := env.GetWorkflowResult(&d); err != nil || !d.Approved {
			t.Errorf("late %v: the workflow returned %v, %v", late, d, err)
		}
		want := "managers after 0s "
		if late {
			want += "directors after 48h0m0s "
		}
		if asked != want {
			t.Errorf("late %v: asked %q, want %q", late, asked, want)
		}
	}
}

// users is a directory with one person.
type users struct{ links []string }

func (u *users) SignedIn(http.ResponseWriter, *http.Request) (inbox.Person, error) {
	return inbox.Person{ID: "ada", Groups: []string{"managers"}}, nil
}

func (u *users) Find(_ context.Context, id string) (inbox.Person, error) {
	return inbox.Person{ID: id}, nil
}

func (u *users) SendMessage(_ context.Context, _ string, _ inbox.Request, link string) error {
	u.links = append(u.links, link)
	return nil
}

// TestApprove: the activity posts a request, and its addressee gets a link.
func TestApprove(t *testing.T) {
	hub := asynctest.NewHub(t, async.Options{})
	u := new(users)
	box, err := newInbox(hub, u, &webhook.Keys{Keys: map[string][]byte{"k": []byte("0123456789abcdef0123456789abcdef")}, Active: "k"})
	if err != nil {
		t.Fatal(err)
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	a := &Activities{hub: hub, inbox: box}
	env.RegisterActivity(a)
	if _, err := env.ExecuteActivity(a.Approve, Expense{Employee: "bob", Purpose: "<b>", Amount: "€12"}, inbox.Request{For: []string{"managers"}}); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v", err)
	}
	if len(u.links) != 1 || !strings.HasPrefix(u.links[0], "https://example.com/inbox/l/k.") {
		t.Errorf("the links are %v", u.links)
	}
}
