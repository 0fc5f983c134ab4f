package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"go.temporal.io/sdk/client"
)

// office files expenses and sends mails.
type office struct {
	client client.Client
	queue  string // the worker's task queue
	base   string // the address of the site
	mails  *Mails
}

// File starts an expense's workflow.
func (o *office) File(ctx context.Context, e Expense) (client.WorkflowRun, error) {
	run, err := o.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:        "expense-" + rand.Text()[:10],
		TaskQueue: o.queue,
	}, Reimburse, e)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", e, err)
	}
	return run, nil
}
