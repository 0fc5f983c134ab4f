package async

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// notifier calls hooks.
type notifier struct {
	hooks     Hooks
	entries   *entries
	rules     *rules
	troubles  *troubles
	claimTime time.Duration
	callback  func(c handle) Callback
	lookout   *lookout
	hanging   sync.Map // the IDs of entries for which a hook is running
}

// notify calls the hooks for the notices of a claimed entry. notify removes a
// notice after its hook has returned nil.
func (n *notifier) notify(ctx context.Context, e entry) {
	calls, cancel := context.WithTimeout(ctx, n.claimTime-callMargin)
	done, late, failure := n.callAll(calls, e)
	cancel()
	switch {
	case failure == errBusy && len(done) == 0:
		return // the entry becomes due when its claim expires
	case failure != nil:
		n.troubles.hook.happened(ctx, fields(e.id, e.rec, OpNotify, hookClass(failure), failure)...)
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	// A hook that returned nil stays recorded, even if another process wrote to
	// the entry meanwhile.
	_, err := n.entries.update(ctx, e, func(e entry) (entry, bool, error) {
		n.rules.at(time.Now()).Notified(e.rec, done, late, failure != nil)
		return e, lifecycle.Known(e.rec.State), nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, errConflict) {
		n.troubles.storeFailed(ctx, e.id, err) // the hooks are called again
	}
}

// callAll calls the hooks. callAll returns the finished notices, the notice
// that delayed those behind it, and the last error.
func (n *notifier) callAll(ctx context.Context, e entry) (done []*record.Notice, late *record.Notice, failure error) {
	for _, notice := range e.rec.Notices {
		if ctx.Err() != nil || failure == errBusy || failure == errHangs {
			break // the other notices get a claim of their own
		}
		switch err := n.call(ctx, e, notice); {
		case err == nil:
			done = append(done, notice)
		case lifecycle.IsSignal(notice.Kind) && !lifecycle.StandsFor(e.rec, notice) && err != errBusy:
			done = append(done, notice) // the hook was called, and its round is over
			n.troubles.hook.happened(ctx, append(fields(e.id, e.rec, OpNotify, hookClass(err), err), slog.Bool("retried", false))...)
		default: // the hooks of the other notices are called nevertheless
			if failure = err; ctx.Err() != nil {
				late = notice
			}
		}
	}
	return done, late, failure
}

var errUnknownKind = errors.New("async: the notice is of a newer release")

// call calls the hook for a notice.
func (n *notifier) call(ctx context.Context, e entry, notice *record.Notice) error {
	if notice.Kind < record.NoticeDelivered || notice.Kind > record.NoticeReset {
		return errUnknownKind
	}
	if !n.hooks.has(notice.Kind) {
		return nil // the hub that learned of the event had this hook, and this hub does not have it
	}
	e = e.clone()
	lifecycle.OfNotice(e.rec, notice) // the record as it was when the round of the notice ended
	c := n.callback(handle{id: new(record.NewCallbackID(e.id, notice.Secret)), entry: e})
	ctx, seen := n.lookout.observe(ctx, OpNotify, hookName(notice.Kind), e)
	_, err := outside(ctx, &n.hanging, e.id, "the hook", func() (struct{}, error) { return struct{}{}, n.invoke(ctx, c, notice) })
	seen.end(Done{Class: hookClass(err)})
	return err
}

func (n *notifier) invoke(ctx context.Context, c Callback, notice *record.Notice) error {
	switch notice.Kind {
	case record.NoticeDelivered:
		return n.hooks.Delivered(ctx, c)
	case record.NoticeRefused:
		return n.hooks.Refused(ctx, c, completer.ErrRefused)
	case record.NoticeCancelRequested:
		return n.hooks.CancelRequested(ctx, c)
	case record.NoticePaused:
		return n.hooks.Paused(ctx, c)
	case record.NoticeReset:
		return n.hooks.Reset(ctx, c)
	default:
		return n.hooks.Over(ctx, c, endError(notice.Reason))
	}
}
