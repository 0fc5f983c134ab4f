package main

import (
	"context"
	"errors"
	"sync"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// Results knows what the workflows have returned. It waits for each with a
// goroutine of its own, which is good for an example's dozen.
type Results struct {
	ctx    context.Context // of the waiting
	client client.Client
	tell   func(result string)

	mu       sync.Mutex
	outcomes map[string]*outcome // by run ID
	waiting  sync.WaitGroup
}

// outcome is how a workflow ended. The result is set once ended is closed.
type outcome struct {
	ended  chan struct{}
	result string
}

// NewResults returns one that waits until the context ends. What is news is
// told to tell, by any goroutine.
func NewResults(ctx context.Context, c client.Client, tell func(result string)) *Results {
	return &Results{ctx: ctx, client: c, tell: tell, outcomes: make(map[string]*outcome)}
}

// Follow waits for the end of a workflow, unless that is being done. The end
// is news if the workflow wasn't known to have an answer before.
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
		// Not known now: whoever asks next follows anew.
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

// await returns the result, or "" if there is none when the context ends.
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
