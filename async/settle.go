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
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// settlement is one call that offers an outcome. settlement keeps the state
// that remains from try to try.
type settlement struct {
	d           *deliverer
	to          handle
	offer       offer
	idempotency string
	note        callNote

	mark    string // of the outcome in the round of secret: an outcome that was dropped with an earlier round has another mark
	secret  []byte
	tried   [][]byte                               // fingerprints of earlier tries: by business key, each round has its own
	payload []byte                                 // the outcome, encoded
	in      converter.ActivitySerializationContext // the context for which payload was encoded
	early   bool                                   // payload was encoded without an activity
	seen    *observation
}

// settle accepts an outcome durably and delivers it. settle waits for the
// delivery for at most Options.DeliveryWait. At most one of the outcomes that
// are offered for a round is accepted: the store's compare-and-swap decides.
func (d *deliverer) settle(ctx context.Context, to handle, o offer) error {
	ctx, seen := d.lookout.observeSettle(ctx, to.entry, o.kind)
	err := d.offered(ctx, to, o, &seen)
	if seen.open() { // the outcome was not accepted
		seen.end(Done{Class: verdictClass(err)})
	}
	return err
}

// refuse observes an outcome that cannot be offered, and returns its error.
func (d *deliverer) refuse(ctx context.Context, to handle, kind record.Kind, err error) error {
	_, seen := d.lookout.observeSettle(ctx, to.entry, kind)
	seen.end(Done{Class: verdictClass(err)})
	return err
}

// offered implements settle. offered ends seen if the outcome is accepted.
func (d *deliverer) offered(ctx context.Context, to handle, o offer, seen *observation) error {
	idempotency, err := idempotencyKeyOf(ctx)
	if err != nil {
		return err
	}
	note, err := callNoteOf(ctx)
	if err != nil {
		return err
	}
	s := settlement{d: d, to: to, offer: o, idempotency: idempotency, note: note, seen: seen}
	for tries := range maxConflicts {
		if err := s.try(ctx, tries); !errors.Is(err, errConflict) {
			return err
		}
	}
	return errConflicts
}

// try offers the outcome to the current entry. try returns errConflict if the
// entry has changed since it was read, and nil for a repeat of the accepted
// outcome.
func (s *settlement) try(ctx context.Context, tries int) error {
	e, before, err := s.read(ctx, tries)
	if err != nil {
		return err
	}
	fp := s.offer.fingerprintFor(e, s.to, s.idempotency)
	if again, err := s.judge(e.rec, before, fp); err != nil || again {
		if again && before == nil {
			latestOf(ctx).left(e)
		}
		return err
	}
	if s.mark == "" || !bytes.Equal(s.secret, e.rec.Secret) {
		s.mark, s.secret, s.payload = newMark(s.offer.kind), e.rec.Secret, nil
	}
	if s.offer.kind == record.Cancellation {
		if e, err = s.d.cancelRequested(ctx, e); err != nil {
			return err
		}
	}
	if err := s.encode(e.rec); err != nil {
		return err
	}
	if err := s.note.addTo(e.rec); err != nil {
		return err
	}
	s.seen.keep(e.rec)
	err = s.d.accept(ctx, s.to, e, s.offer, &record.Outcome{
		Kind: s.offer.kind, Payload: s.payload, Mark: s.mark, Fingerprint: fp, NonRetryable: s.offer.nonRetryable,
	}, s.seen)
	if errors.Is(err, errConflict) {
		s.tried = append(s.tried, fp)
	}
	return err
}

// read returns the entry on which the outcome is settled, and the handle's
// round if that is over. If the callback was opened by key, read creates an
// entry for a result that arrives before its activity.
func (s *settlement) read(ctx context.Context, tries int) (entry, *record.Round, error) {
	e, before, err := s.to.readFor(ctx, s.d.entries, s.offer, tries)
	if !errors.Is(err, ErrNotFound) || s.to.key == nil || s.to.key.options.Early == 0 {
		return e, before, err
	}
	if s.offer.kind == record.Failure {
		return entry{}, nil, errOnlyResultsEarly
	}
	return s.to.key.early(s.to.entry.id, time.Now()), nil, nil
}

// judge returns an error if the outcome cannot be accepted, and reports whether
// it is a repeat.
func (s *settlement) judge(r *record.Record, before *record.Round, fp []byte) (again bool, err error) {
	o := s.offer
	if before != nil {
		return answered(lifecycle.Judge(before.Kind, before.Fingerprint, o.kind, fp), before.Kind, r)
	}
	if s.to.key != nil && (s.idempotency != "" && answeredBefore(r, fp) || answeredBefore(r, s.tried...)) {
		return true, nil // a repeat also if an earlier try of this call was accepted and its reply was lost
	}
	if o.attempt != 0 && (r.Started != o.attempt || r.HandedOffStarted != o.attempt) {
		return false, ErrSuperseded
	}
	if again, err = answered(lifecycle.Offered(r, o.kind, fp), r.Outcome.GetKind(), r); err != nil || again {
		return again, err
	}
	if o.kind == record.Result && r.ResultType != o.resultType {
		return false, &TypeMismatchError{Want: r.ResultType, Got: o.resultType}
	}
	return false, nil
}

// answered returns the error for the sender of an outcome.
func answered(a lifecycle.Answer, accepted record.Kind, r *record.Record) (again bool, err error) {
	switch a {
	case lifecycle.Accept:
		return false, nil
	case lifecycle.Repeat:
		return true, nil
	case lifecycle.Other:
		return false, fmt.Errorf("%w: a %s", ErrSettled, kindName(accepted))
	case lifecycle.Superseded:
		return false, ErrSuperseded
	case lifecycle.TooLate:
		return false, closedError(r)
	default:
		return false, errNewer
	}
}

// encode encodes the outcome for the entry's activity, unless it is already
// encoded.
func (s *settlement) encode(r *record.Record) (err error) {
	in := serializationContext(r)
	if s.payload != nil && s.early == r.Early && s.in == in {
		return nil
	}
	s.early, s.in = r.Early, in
	s.payload, err = s.offer.encode(r, s.mark)
	return err
}

// accept settles the entry's round with an outcome, and starts the delivery.
// accept returns errConflict if the entry has changed since it was read. accept
// returns another error if the caller learns that the activity ended without
// the outcome.
func (d *deliverer) accept(ctx context.Context, to handle, e entry, o offer, out *record.Outcome, seen *observation) error {
	now := time.Now()
	d.rules.at(now).Settle(e.rec, out)
	admitted, probe := true, false
	if e.rec.Early {
		unclaim(&e, now.Add(to.key.options.Early))
	} else if d.completer != nil {
		// Settling an entry also claims it: the hub that accepts the outcome
		// delivers it, unless its breaker is open.
		if admitted, probe = d.health.admits(way{e.rec.Namespace, anAnswer}, now); !admitted {
			unclaim(&e, now)
		}
	}
	e, err := d.entries.save(ctx, e)
	if err != nil {
		return err
	}
	seen.accepted(e, now)
	latest, known := latestOf(ctx), false
	latest.accepted(e)
	switch {
	case d.completer == nil || e.rec.Early:
	case !admitted:
		d.parkAnswer(e)
	case o.inSlot:
		e, err = d.deliver(ctx, e, bySettler)
		known = err == nil
	default:
		e, known = d.carry(ctx, e, probe)
	}
	switch {
	case known && e.rec == nil:
		latest.delivered(d.rules.at(time.Now()))
	case known:
		latest.left(e)
	}
	if known && e.rec.GetState() == record.Closed && e.rec.End != record.EndDelivered && e.rec.Outcome.GetMark() == out.Mark {
		return closedError(e.rec)
	}
	return nil
}

// fingerprintFor returns the outcome's fingerprint for the callback's round.
// With an idempotency key, the fingerprint is the same in every round.
func (o offer) fingerprintFor(e entry, to handle, idempotency string) []byte {
	if idempotency != "" {
		return fingerprintOf(o.kind, func(h hash.Hash) {
			writeField(h, []byte("idempotency key"))
			writeField(h, []byte(idempotency))
		})([]byte(e.id))
	}
	if to.id != nil && to.key == nil {
		return o.fingerprint(to.id.Secret())
	}
	return o.fingerprint(e.rec.Secret)
}

// answeredBefore reports whether an ended round was answered with one of these
// fingerprints.
func answeredBefore(r *record.Record, fps ...[]byte) bool {
	return slices.ContainsFunc(r.Rounds, func(before *record.Round) bool {
		return slices.ContainsFunc(fps, func(fp []byte) bool { return bytes.Equal(before.Fingerprint, fp) })
	})
}

func closedError(r *record.Record) error {
	if why := endError(r.End); why != nil {
		return fmt.Errorf("%w: %w", ErrClosed, why)
	}
	return ErrClosed
}

// newMark returns a mark that distinguishes an outcome from an equal one: the
// letter of its kind, and at least 65 random bits.
func newMark(kind record.Kind) string {
	return kindName(kind)[:1] + rand.Text()[:13]
}

// errCannotAsk means that the hub's breaker is open.
var errCannotAsk = errors.New("cannot ask now whether cancellation was requested, since this hub cannot reach Temporal; nothing was accepted, try again")

// cancelRequested checks that Temporal would accept a cancellation, and records
// this in the entry. Temporal does not withdraw a request within a run, so it
// does not refuse the settled cancellation later.
func (d *deliverer) cancelRequested(ctx context.Context, e entry) (entry, error) {
	if e.rec.CancelRequested {
		return e, nil
	}
	if e.rec.Early {
		return e, fmt.Errorf("%w: no activity has this key yet", completer.ErrCancelNotRequested)
	}
	if d.completer == nil {
		return e, fmt.Errorf("%w, as far as is known: this hub has no completer to ask Temporal with", completer.ErrCancelNotRequested)
	}
	if admitted, _ := d.health.admits(way{e.rec.Namespace, aBeat}, time.Now()); !admitted {
		return e, errCannotAsk
	}
	status, err := d.describe(ctx, e.rec, "")
	switch {
	case err != nil:
		return e, fmt.Errorf("whether cancellation was requested can't be asked now, nothing was accepted, try again: %w", err)
	case !status.Pending && status.End != completer.EndBuffered:
		d.rules.at(time.Now()).Close(e.rec, wordOf(status).EndOfOther())
		if e, err = d.entries.save(ctx, e); err != nil {
			return e, err
		}
		d.wheel.wake()
		return e, closedError(e.rec)
	case !status.CancelRequested:
		return e, completer.ErrCancelNotRequested
	}
	e.rec.CancelRequested = true
	return e, nil
}
