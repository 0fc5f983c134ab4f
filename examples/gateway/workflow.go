package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// namespace is the namespace of the activities. Business keys belong to a
// namespace.
const namespace = "default"

// Approval is a person's answer.
type Approval struct {
	Approved bool   `json:"approved"`
	By       string `json:"by"`
}

// ResultType returns the name of the type in the store. Types of package main
// need this method, because every program's package is called main.
func (Approval) ResultType() string { return "gateway.Approval" }

// Payment is the payment provider's answer.
type Payment struct {
	Cents int64 `json:"cents"`
}

// ResultType returns the name of the type in the store.
func (Payment) ResultType() string { return "gateway.Payment" }

// Order waits for an approval and a payment, and returns both.
func Order(ctx workflow.Context, order string) (string, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 7 * 24 * time.Hour})
	var a *Activities
	approving, paying := workflow.ExecuteActivity(ctx, a.Approve, order), workflow.ExecuteActivity(ctx, a.AwaitPayment, order)
	var approval Approval
	if err := approving.Get(ctx, &approval); err != nil {
		return "", err
	}
	var payment Payment
	if err := paying.Get(ctx, &payment); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: approved %t by %s, paid %d cents", order, approval.Approved, approval.By, payment.Cents), nil
}

// Activities are the activities of the worker.
type Activities struct {
	hub  *async.Hub
	keys *webhook.Keys
	base string // URL of the gateway
	mail func(order, link string)
}

// Approve sends a person a link. The link allows this one decision, for a week.
func (a *Activities) Approve(ctx context.Context, order string) (Approval, error) {
	return async.Start(ctx, a.hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Approval]) error {
		token, err := a.keys.Seal(webhook.Claims{
			ID: p.ID(), Allow: webhook.Look | webhook.Complete, Expires: time.Now().Add(7 * 24 * time.Hour), For: "ada@example.com",
		})
		if err != nil {
			return err
		}
		a.mail(order, a.base+"/answers/"+token)
		return nil
	})
}

// AwaitPayment waits for the payment provider, which knows the order's number
// but no callback ID.
func (a *Activities) AwaitPayment(ctx context.Context, order string) (Payment, error) {
	return async.Start(ctx, a.hub, async.StartOptions{Key: order}, func(context.Context, async.Pending[Payment]) error { return nil })
}
