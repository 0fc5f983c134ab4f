package board

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// Action is an action that a caller wants to perform. [Options].Authorize
// decides about each Action.
type Action string

const (
	// View shows an entry.
	View Action = "view"
	// Retry makes hubs retry at once: see async.Callback.Retry.
	Retry Action = "retry"
	// Abandon ends an entry without delivery: see async.Callback.Abandon.
	Abandon Action = "abandon"
	// Answer completes, fails or rejects a waiting activity.
	Answer Action = "answer"
)

// ErrSignIn is the error that [Options].Authorize returns for a caller that it
// does not know. The caller then gets 401. For any other error, the caller gets
// 403.
var ErrSignIn = errors.New("board: sign in first")

// Errors of the board itself. The texts of these errors are in status.go.
var (
	errHidden      = fmt.Errorf("%w: the caller may not view it", async.ErrNotFound)
	errForbidden   = errors.New("board: the caller may not do this")
	errNameless    = errors.New("board: Options.Authorize returned no name for a caller that may act")
	errWhy         = errors.New("board: a reason is required")
	errRound       = errors.New("board: the entry has begun another round")
	errUnknownType = errors.New("board: no type of Options.Types has the name of the type that is awaited")
	errEarly       = errors.New("board: an early result whose activity has not come")
	errAudit       = errors.New("board: Options.Audit returned an error")
)

// verb is an action. The name of a verb is the last part of the address.
type verb struct {
	action Action
	bulk   bool // available for several entries at once
	do     func(b *Board, ctx context.Context, c async.Callback, o order) error
}

var verbs = map[string]verb{
	"retry":    {Retry, true, func(_ *Board, ctx context.Context, c async.Callback, _ order) error { return c.Retry(ctx) }},
	"abandon":  {Abandon, true, func(_ *Board, ctx context.Context, c async.Callback, _ order) error { return c.Abandon(ctx) }},
	"complete": {Answer, false, (*Board).complete},
	"fail":     {Answer, false, (*Board).fail},
	"reject":   {Answer, false, (*Board).reject},
}

// useful reports whether an action would change an entry. The entry's page
// offers only actions that would change the entry.
func (v verb) useful(i async.Info) bool {
	switch v.action {
	case Retry:
		return i.State == async.Settled && !i.Early || i.HookTries > 0
	case Abandon:
		return i.State == async.Waiting || i.State == async.Settled
	case Answer:
		return i.State == async.Waiting && !i.Early
	default:
		return false
	}
}

// decide returns what a caller may do, from the results of Authorize for View
// and for the action. An entry that may not be viewed does not exist for the
// caller.
func decide(a Action, entry bool, by string, view, act error) error {
	switch {
	case errors.Is(view, ErrSignIn):
		return ErrSignIn
	case view != nil && entry:
		return errHidden
	case view != nil:
		return errForbidden
	case a == View:
		return nil
	case errors.Is(act, ErrSignIn):
		return ErrSignIn
	case act != nil:
		return errForbidden
	case by == "":
		return errNameless
	}
	return nil
}

// permit returns the caller's name if Authorize allows the action. Pages, JSON
// and the command line all use permit, for one entry and for several. The zero
// Callback stands for the board as a whole.
func (b *Board) permit(ctx context.Context, r *http.Request, a Action, c async.Callback) (by string, err error) {
	by, view := b.ask(ctx, r, View, c)
	var act error
	if view == nil && a != View {
		by, act = b.ask(ctx, r, a, c)
	}
	if err := decide(a, c.ID() != "", by, view, act); err != nil {
		return "", err
	}
	return by, nil
}

// ask calls Authorize. A panic counts as a refusal.
func (b *Board) ask(ctx context.Context, r *http.Request, a Action, c async.Callback) (by string, err error) {
	defer func() {
		if recover() != nil {
			b.log.ErrorContext(ctx, "board: Options.Authorize panicked, and the caller was refused", append(about(c), "action", string(a))...)
			by, err = "", errForbidden
		}
	}()
	return b.authorize(ctx, r, a, c)
}

// audited calls Audit. A panic counts as an error.
func (b *Board) audited(ctx context.Context, by string, a Action, c async.Callback, why string) (err error) {
	if b.audit == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			b.log.ErrorContext(ctx, "board: Options.Audit panicked, and the action was not performed", append(about(c), "action", string(a))...)
			err = errAudit
		}
	}()
	if err := b.audit(ctx, by, a, c, why); err != nil {
		b.log.WarnContext(ctx, "board: Options.Audit returned an error, and the action was not performed", append(about(c), "action", string(a))...)
		return errAudit
	}
	return nil
}

// about returns the fields of a log line about an entry, as far as they are
// known. Package async uses the same fields.
func about(c async.Callback) []any {
	i := c.Info()
	var fields []any
	for _, f := range [][2]string{{"callback", store.ShortID(i.ID)}, {"activity_type", i.ActivityType}, {"workflow_id", i.WorkflowID}} {
		if f[1] != "" {
			fields = append(fields, f[0], f[1])
		}
	}
	return fields
}
