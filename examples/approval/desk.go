package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/async"
)

// Desk files, lists and decides expenses. It knows neither the page nor the worker,
// so it could run in another process.
type Desk struct {
	hub     *async.Hub
	client  client.Client
	queue   string // the worker's
	results *Results
}

// File starts an expense's workflow.
func (d *Desk) File(ctx context.Context, e Expense) (client.WorkflowRun, error) {
	run, err := d.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:        "expense-" + rand.Text()[:10],
		TaskQueue: d.queue,
	}, Reimburse, e)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", e, err)
	}
	d.results.Follow(run.GetID(), run.GetRunID(), true)
	return run, nil
}

// Decide answers the expense of a callback ID. Nil means that the decision is
// stored, and that a hub has delivered it or will.
func (d *Desk) Decide(ctx context.Context, id string, decision Decision) error {
	p, err := async.Open[Decision](ctx, d.hub, id)
	if err != nil {
		return err
	}
	return p.Complete(ctx, decision)
}

// Look returns the expense of a callback ID.
func (d *Desk) Look(ctx context.Context, id string) (Item, error) {
	p, err := async.Open[Decision](ctx, d.hub, id)
	if err != nil {
		return Item{}, err
	}
	items := []Item{d.item(p.Callback)}
	fetch(ctx, items)
	return items[0], nil
}

// List returns the expenses in the store, the oldest first: the waiting ones, and
// those decided within the hub's retention. If it also returns an error, the list
// is incomplete.
func (d *Desk) List(ctx context.Context) ([]Item, error) {
	var (
		items []Item
		wrong error
	)
	for c, err := range d.hub.List(ctx) {
		switch {
		case err != nil:
			wrong = err
		case c.Info().ResultType == Decision{}.ResultType():
			items = append(items, d.item(c))
		}
	}
	fetch(ctx, items)
	slices.SortFunc(items, func(a, b Item) int {
		return cmp.Or(a.Info.Created.Compare(b.Info.Created), cmp.Compare(a.Info.ID, b.Info.ID))
	})
	return items, wrong
}

// Item is an expense as the page shows it.
type Item struct {
	ID      string // the callback ID: anyone who has it can answer
	Info    async.Info
	Result  string // what the workflow returned, or ""
	outcome *outcome
}

func (d *Desk) item(c async.Callback) Item {
	i := Item{ID: c.ID(), Info: c.Info()}
	i.outcome = d.results.Follow(i.Info.WorkflowID, i.Info.RunID, i.Waits())
	return i
}

// fetch adds the results of the workflows that have their answer. A workflow takes
// a moment to end after its answer, so fetch waits that long in all.
func fetch(ctx context.Context, items []Item) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for i := range items {
		if !items[i].Waits() {
			items[i].Result = items[i].outcome.await(ctx)
		}
	}
}

// Employee is the person who spent the money.
func (i Item) Employee() string { return i.Info.Labels[labelEmployee] }

// Purpose is what the money was for.
func (i Item) Purpose() string { return i.Info.Labels[labelPurpose] }

// Amount is the sum, for people.
func (i Item) Amount() string { return i.Info.Labels[labelAmount] }

// Waits reports whether the expense has no decision yet.
func (i Item) Waits() bool { return i.Info.State == async.Waiting }
