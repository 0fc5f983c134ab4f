package asynctest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
)

func TestApprove(t *testing.T) {
	temporal := new(asynctest.Completer)
	hub := asynctest.NewHub(t, async.Options{Completer: temporal})
	var mailed string
	a := &Activities{Hub: hub, Mail: func(_ context.Context, expense, id string) error {
		mailed = id
		return nil
	}}

	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	if _, err := env.ExecuteActivity(a.Approve, "train ticket"); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}

	// The test answers as the external system.
	p, err := async.Open[Decision](t.Context(), hub, mailed)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Complete(t.Context(), Decision{Approved: true, By: "Ann"}); err != nil {
		t.Fatal(err)
	}

	// The workflow reads this result.
	sent := temporal.Completed()
	if len(sent) != 1 {
		t.Fatalf("%d outcomes were delivered, want 1", len(sent))
	}
	var d Decision
	if err := converter.GetDefaultDataConverter().FromPayloads(sent[0].Outcome.Result, &d); err != nil || d.By != "Ann" {
		t.Errorf("delivered: %+v, %v", d, err)
	}
}

func TestApproveMailFails(t *testing.T) {
	hub := asynctest.NewHub(t, async.Options{})
	a := &Activities{Hub: hub, Mail: func(context.Context, string, string) error {
		return errors.New("the mail server is away")
	}}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	if _, err := env.ExecuteActivity(a.Approve, "train ticket"); err == nil || !strings.Contains(err.Error(), "the mail server is away") {
		t.Errorf("the activity returned %v, want the mailer's error, which Temporal retries", err)
	}
}

// approval runs an activity that waits for a Decision.
func approval(t *testing.T, hub *async.Hub) async.Pending[Decision] {
	t.Helper()
	a := &Activities{Hub: hub, Mail: func(context.Context, string, string) error { return nil }}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a)
	if _, err := env.ExecuteActivity(a.Approve, "train ticket"); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	p, err := async.Open[Decision](t.Context(), hub, asynctest.Pending(t, hub)[0].ID())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnswers(t *testing.T) {
	hub := asynctest.NewHub(t, async.Options{})
	answers, err := Answers(hub)
	if err != nil {
		t.Fatal(err)
	}
	waiting := approval(t, hub)
	for _, step := range []struct {
		what, id, body string
		want           int
	}{
		{"not a decision", waiting.ID(), "yes", http.StatusUnprocessableEntity},
		{"a decision that says nothing", waiting.ID(), "{}", http.StatusUnprocessableEntity},
		{"an unknown ID", "none", `{"Approved":true,"By":"Ann"}`, http.StatusNotFound},
		{"the answer", waiting.ID(), `{"Approved":true,"By":"Ann"}`, http.StatusOK},
		{"the same again", waiting.ID(), `{"Approved":true,"By":"Ann"}`, http.StatusOK},
		{"another answer", waiting.ID(), `{"Approved":false,"By":"Bob"}`, http.StatusConflict},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/answers/"+step.id+"/complete", strings.NewReader(step.body))
		r.Header.Set("Content-Type", "application/json")
		answers.ServeHTTP(w, r)
		if w.Code != step.want {
			t.Errorf("%s: %d, want %d", step.what, w.Code, step.want)
		}
	}
}
