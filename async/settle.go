package async

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"slices"
	"time"

	"go.temporal.io/sdk/converter"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// settle accepts an outcome durably, and then has it delivered, which it waits
// for at most for Options.DeliveryWait. Of all outcomes offered for a round at most one is
// accepted: the store's compare-and-swap decides.
func (h *Hub) settle(ctx context.Context, c Callback, o offer) error {
	mark := newMark(o.kind)
	idempotency, _ := ctx.Value(idempotencyKey{}).(string)
	if err := checkKey(idempotency); err != nil {
		return fmt.Errorf("the idempotency key: %w", err)
	}
	var payload []byte
	var in converter.ActivitySerializationContext // what payload was encoded for
	early := false
	var tried [][]byte // fingerprints, by key: each round has its own
	for n := range maxConflicts {
		e, before, err := c.readFor(ctx, o, n)
		if errors.Is(err, ErrNotFound) && c.key != nil && c.key.options.Early > 0 {
			if e, err = c.key.early(c.entry.id, time.Now()), nil; o.kind == record.Failure {
				err = errOnlyResultsEarly
			}
		}
		if err != nil {
			return err
		}
		print := o.print(e, c, idempotency)
		if before != nil {
			return judge(before.Kind, before.Fingerprint, print)
		}
		if c.key != nil && (idempotency != "" && answeredBefore(e.rec, print) || answeredBefore(e.rec, tried...)) {
			return nil // also where a try of this very call was taken, and its reply lost
		}
		if o.attempt != 0 && (e.rec.Started != o.attempt || e.rec.HandedOffStarted != o.attempt) {
			return ErrSuperseded
		}
		switch e.rec.State {
		case record.Waiting:
		case record.Settled:
			return judge(e.rec.Outcome.GetKind(), e.rec.Outcome.GetFingerprint(), print)
		case record.Closed:
			if e.rec.End == record.EndDelivered {
				return judge(e.rec.Outcome.GetKind(), e.rec.Outcome.GetFingerprint(), print)
			}
			return closedError(e.rec)
		default:
			return errNewer
		}
		if o.kind == record.Result && e.rec.ResultType != o.resultType {
			return &TypeMismatchError{Want: e.rec.ResultType, Got: o.resultType}
		}
		if o.kind == record.Cancellation {
			if e, err = h.cancelRequested(ctx, e); errors.Is(err, errConflict) {
				continue
			} else if err != nil {
				return err
			}
		}
		if payload == nil || early != e.rec.Early || in != serializationContext(e.rec) {
			early, in = e.rec.Early, serializationContext(e.rec)
			if payload, err = o.encode(e.rec, mark); err != nil {
				return err
			}
		}
		now := time.Now()
		h.policy(now).Settle(e.rec, &record.Outcome{Kind: o.kind, Payload: payload, Mark: mark, Fingerprint: print, NonRetryable: o.nonRetryable})
		admitted, probe := true, false
		if e.rec.Early {
			h.unclaim(&e, now.Add(c.key.options.Early))
		} else if h.completer != nil {
			// To settle is to claim: the hub that accepts also delivers, unless its
			// breaker is open.
			if admitted, probe = h.health.admits(way{e.rec.Namespace, anAnswer}, now); !admitted {
				h.unclaim(&e, now)
			}
		}
		e, err = h.save(ctx, e)
		if errors.Is(err, errConflict) {
			tried = append(tried, print)
			continue
		}
		if err != nil {
			return err
		}
		known := false
		switch {
		case h.completer == nil || e.rec.Early:
		case !admitted:
			h.parkAnswer(e)
		case o.inSlot:
			e, err = h.deliver(ctx, e, settler)
			known = err == nil
		default:
			e, known = h.carry(ctx, e, probe)
		}
		if known && e.rec.GetState() == record.Closed && e.rec.End != record.EndDelivered && e.rec.Outcome.GetMark() == mark {
			return closedError(e.rec)
		}
		return nil
	}
	return errConflicts
}

// print returns the outcome's fingerprint for the callback's round. With an
// idempotency key that is the same in every round.
func (o offer) print(e entry, c Callback, idempotency string) []byte {
	if idempotency != "" {
		return fingerprintOf(o.kind, func(h hash.Hash) {
			writeField(h, []byte("idempotency key"))
			writeField(h, []byte(idempotency))
		})([]byte(e.id))
	}
	if _, secret, ok := splitCallbackID(c.ID()); ok && c.key == nil {
		return o.fingerprint(secret)
	}
	return o.fingerprint(e.rec.Secret)
}

// answeredBefore reports whether a round that is over was answered with one of
// these fingerprints.
func answeredBefore(r *record.Record, prints ...[]byte) bool {
	return slices.ContainsFunc(r.Rounds, func(before *record.Round) bool {
		return slices.ContainsFunc(prints, func(print []byte) bool { return bytes.Equal(before.Fingerprint, print) })
	})
}

// judge answers an outcome that comes when the round has one already, or is
// over without.
func judge(kind record.Kind, accepted, offered []byte) error {
	switch {
	case len(accepted) == 0:
		return ErrSuperseded
	case bytes.Equal(accepted, offered):
		return nil
	default:
		return fmt.Errorf("%w: a %s", ErrSettled, kindName(kind))
	}
}

func closedError(r *record.Record) error {
	if why := endError(r.End); why != nil {
		return fmt.Errorf("%w: %w", ErrClosed, why)
	}
	return ErrClosed
}

// newMark returns what tells an outcome from an equal one: the letter of its
// kind, and 65 random bits or more.
func newMark(kind record.Kind) string {
	return kindName(kind)[:1] + rand.Text()[:13]
}

// errCannotAsk means that the hub's breaker is open.
var errCannotAsk = errors.New("cannot ask now whether cancellation was requested, since this hub cannot reach Temporal; nothing was accepted, try again")

// cancelRequested makes sure that Temporal would take a cancellation, and
// records that it would. A request isn't withdrawn within a run, so what is
// settled on the strength of it is not refused later.
func (h *Hub) cancelRequested(ctx context.Context, e entry) (entry, error) {
	if e.rec.CancelRequested {
		return e, nil
	}
	if e.rec.Early {
		return e, fmt.Errorf("%w: no activity has this key yet", completer.ErrCancelNotRequested)
	}
	if h.completer == nil {
		return e, fmt.Errorf("%w, as far as is known: this hub has no completer to ask Temporal with", completer.ErrCancelNotRequested)
	}
	if admitted, _ := h.health.admits(way{e.rec.Namespace, aBeat}, time.Now()); !admitted {
		return e, errCannotAsk
	}
	ctx, cancel := context.WithTimeout(ctx, h.claimTime-callMargin)
	defer cancel()
	status, err := h.completer.Describe(ctx, target(e.rec).ByID(), "")
	switch {
	case err != nil:
		return e, fmt.Errorf("whether cancellation was requested can't be asked now, nothing was accepted, try again: %w", err)
	case !status.Pending && status.End != completer.EndBuffered:
		h.end(&e, wordOf(status).EndOfOther(), time.Now())
		if e, err = h.save(ctx, e); err != nil {
			return e, err
		}
		h.wakeUp()
		return e, closedError(e.rec)
	case !status.CancelRequested:
		return e, completer.ErrCancelNotRequested
	}
	e.rec.CancelRequested = true
	return e, nil
}
