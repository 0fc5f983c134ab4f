package main

import (
	"context"
	"errors"
	"sync"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// Results collects what the workflows have returned. It waits for each with a
// goroutine of its own, which is fine for the dozen of an example.
type Results struct {
	ctx    context.Context // of the waiting
	client client.Client
	tell   func(result string)

	mu       sync.Mutex
	outcomes map[string]*outcome // by run ID
	waiting  sync.WaitGroup
}

// outcome is the end of a workflow. The result is set when ended is closed.
type outcome struct {
	ended  chan struct{}
	result string
}

// NewResults returns Results that wait until the context ends. They pass each new
// result to tell, from any goroutine.
func NewResults(ctx context.Context, c client.Client, tell func(result string)) *Results {
	return &Results{ctx: ctx, client: c, tell: tell, outcomes: make(map[string]*outcome)}
}

// Follow waits for the end of a workflow, unless it already does. It reports the
// end if the workflow was not known to have an answer before.
func (r *Results) Follow(workflowID, runID string, news bool) *outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.outcomes[runID]
	if o == nil && r.ctx.Err() == nil {
		o = &outcome{ended: make(chan struct{})}
		r.outcomes[runID] = o
		r.waiting.Go(func() { r.follow(o, workflowID, runID, news) })
	}
	return o
}

func (r *Results) follow(o *outcome, workflowID, runID string, news bool) {
	err := r.client.GetWorkflow(r.ctx, workflowID, runID).Get(r.ctx, &o.result)
	if _, ended := errors.AsType[*temporal.WorkflowExecutionError](err); ended {
		o.result = workflowID + ": the workflow ended without a decision"
	} else if err != nil {
		// Not known now: the next call follows the workflow again.
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.outcomes, runID)
		return
	}
	close(o.ended)
	if news {
		r.tell(o.result)
	}
}

// Wait returns when no goroutine is left. The context must have ended.
func (r *Results) Wait() { r.waiting.Wait() }

// await returns the result, or "" if the context ends first.
func (o *outcome) await(ctx context.Context) string {
	if o == nil {
		return ""
	}
	select {
	case <-o.ended:
		return o.result
	case <-ctx.Done():
		return ""
	}
}
