package answer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/web/answer"
)

// start runs an activity until it waits for a T.
func start[T any](t *testing.T, h *async.Hub) (id string) {
	t.Helper()
	run := func(ctx context.Context) (T, error) {
		return async.Start(ctx, h, async.StartOptions{}, func(_ context.Context, p async.Pending[T]) error {
			id = p.ID()
			return nil
		})
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: "run"})
	if _, err := env.ExecuteActivity("run"); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v, want activity.ErrResultPending", err)
	}
	return id
}

func open(t *testing.T, h *async.Hub, id string) async.Callback {
	t.Helper()
	c, err := h.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComplete(t *testing.T) {
	temporal := new(asynctest.Completer)
	h := asynctest.NewHub(t, async.Options{Completer: temporal})
	typ := mustFor[Decision](t, answer.TypeOptions{})
	id := start[Decision](t, h)

	for _, body := range []string{`{}`, `null`, `{"approved":null}`, `{"Approved":true}`} {
		if err := typ.Complete(t.Context(), open(t, h, id), "application/json", []byte(body)); len(answer.Invalids(err)) == 0 {
			t.Errorf("%s: %v, want an Invalid", body, err)
		}
	}
	if i := open(t, h, id).Info(); i.State != async.Waiting {
		t.Fatalf("after bodies that were refused the activity is %v", i.State)
	}
	other := mustFor[v1](t, answer.TypeOptions{})
	if err := other.Complete(t.Context(), open(t, h, id), "application/json", []byte(`{"a":1}`)); !errors.Is(err, async.ErrTypeMismatch) {
		t.Errorf("a body of another type: %v", err)
	}

	body := []byte(`{"approved":true,"cents":9007199254740993}`)
	for range 2 {
		if err := typ.Complete(t.Context(), open(t, h, id), "application/json", body); err != nil {
			t.Fatal(err)
		}
	}
	if err := typ.Complete(t.Context(), open(t, h, id), "application/json", []byte(`{"approved":false}`)); !errors.Is(err, async.ErrSettled) {
		t.Errorf("another answer: %v", err)
	}
	sent := temporal.Completed()
	if len(sent) != 1 {
		t.Fatalf("%d outcomes were delivered, want 1", len(sent))
	}
	var d Decision
	if err := converter.GetDefaultDataConverter().FromPayloads(sent[0].Outcome.Result, &d); err != nil || !d.Approved || d.Cents != 9007199254740993 {
		t.Errorf("delivered: %+v, %v", d, err)
	}
}

func TestCompleteNoneAndMessages(t *testing.T) {
	h := asynctest.NewHub(t, async.Options{})
	if err := mustFor[async.None](t, answer.TypeOptions{}).Complete(t.Context(), open(t, h, start[async.None](t, h)), "", nil); err != nil {
		t.Errorf("None: %v", err)
	}
	typ := mustFor[*commonpb.WorkflowExecution](t, answer.TypeOptions{})
	c := open(t, h, start[*commonpb.WorkflowExecution](t, h))
	_, got := decode(typ, "application/json", `{"workflowId":"w","runid":"r"}`)
	if want := "/runid is unknown; the known names are runId, workflowId"; len(got) != 1 || got[0] != want {
		t.Errorf("a misspelt name: %q, want %q", got, want)
	}
	if err := typ.Complete(t.Context(), c, "application/json", []byte(`{"workflowId":"w","run_id":"r"}`)); err != nil {
		t.Errorf("a message: %v", err)
	}
}

type Approval struct {
	Approved bool   `json:"approved"`
	By       string `json:"by" jsonschema:"who decided"`
}

func ExampleFor() {
	approval, err := answer.For[Approval](answer.TypeOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(approval.Schema()))

	_, err = approval.Decode("application/json", []byte(`{"aproved": true, "by": null}`))
	for _, problem := range answer.Invalids(err) {
		fmt.Println(problem.Pointer, problem.Detail)
	}
	// Output:
	// {"type":"object","properties":{"approved":{"type":"boolean"},"by":{"type":"string","description":"who decided"}},"$schema":"https://json-schema.org/draft/2020-12/schema","required":["approved","by"],"additionalProperties":false}
	// /approved is required
	// /aproved is unknown; the known names are approved, by
	// /by must be string
}

func ExampleStrict() {
	err := answer.Strict([]byte(`{"approved": false, "approved": true}`))
	for _, problem := range answer.Invalids(err) {
		fmt.Println(problem.Pointer, problem.Detail)
	}
	// Output: /approved has a name that appears twice in its object
}
