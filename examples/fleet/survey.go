package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
)

// Answer is the answer to a question.
type Answer struct{ Text string }

// ResultType returns the name of the type in the store. Types of package main
// need this method, because every program's package is called main.
func (Answer) ResultType() string { return "fleet.Answer" }

// Question is the question that the survey system gets.
type Question struct {
	Number     int
	CallbackID string
}

// heartbeatTimeout is how soon Temporal notices that no hub heartbeats for an
// activity. Three claim times leave room for the death of one hub.
const heartbeatTimeout = 3 * claimTime

// Survey asks all questions at once, beginning with number first, and returns the
// answers.
func Survey(ctx workflow.Context, first, n int) ([]Answer, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 24 * time.Hour, // the longest wait for an answer
		HeartbeatTimeout:    heartbeatTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond},
	})
	var a *Activities
	asked := make([]workflow.Future, n)
	for i := range asked {
		asked[i] = workflow.ExecuteActivity(ctx, a.Ask, first+i)
	}
	answers := make([]Answer, n)
	for i := range asked {
		if err := asked[i].Get(ctx, &answers[i]); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// Activities are the activities of the workers.
type Activities struct {
	hub     *async.Hub
	outside string // its URL
}

// Ask sends the question to the survey system and returns without an answer. If
// the worker dies before it has sent the question, its heartbeats stop, and
// another attempt sends it. If the worker dies afterwards, any process of the
// fleet keeps the activity alive.
func (a *Activities) Ask(ctx context.Context, number int) (Answer, error) {
	return async.Start(ctx, a.hub, async.StartOptions{}, func(ctx context.Context, p async.Pending[Answer]) error {
		question, err := json.Marshal(Question{number, p.ID()})
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.outside, bytes.NewReader(question))
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode >= 300 {
			return fmt.Errorf("the survey system answers %s", answer.Status)
		}
		return nil
	})
}
