package async

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Note is an entry in the journal of a round. Note records an event that
// happened while the activity waited, such as a vote, a comment or the reason
// of an operator.
//
// Latchkey does not interpret notes. A note is at most 16 KiB. A round has at
// most 256 notes, and 64 KiB of them. The store keeps notes in clear text,
// unless it is sealed.
type Note struct {
	// At is the time of the event. At defaults to the time of the call.
	At time.Time

	// Kind is the kind of the event, such as "vote". Required.
	Kind string

	// By is the author of the note.
	By string

	// Data is any JSON value. Defaults to none.
	Data json.RawMessage
}

// Notes returns the journal of the callback's round, oldest note first, in its
// state when the callback was opened. Notes returns an empty journal for a
// callback ID of an earlier round.
//
// A journal lives as long as its round. The journal stays with a delivered
// outcome until the entry is removed. The journal is deleted when the next
// round begins.
func (c Callback) Notes() []Note {
	if c.entry.rec == nil || c.isCurrent(c.entry) != nil {
		return nil
	}
	return notesOf(c.entry.rec)
}

func notesOf(r *record.Record) []Note {
	notes := make([]Note, len(r.Notes))
	for i, n := range r.Notes {
		notes[i] = Note{At: fromNano(n.At), Kind: n.Kind, By: n.By, Data: slices.Clone(n.Data)}
	}
	return notes
}

// Note adds a note to the journal of the callback's round, in any state of the
// activity. Note does not add a note that the journal already has: one with the
// same time, kind, author and data. If At is zero, only the author's last note
// is compared, by kind and data. [WithNote] and [Pending.Decide] add a note
// together with an outcome.
//
// Errors: Note returns ErrInvalidArgument for a note that is too large or
// malformed, ErrJournalFull, ErrSuperseded if the round is over, and
// ErrNotFound. After any other error, it is unknown whether the note was added;
// retry with the same note.
func (c Callback) Note(ctx context.Context, n Note) error {
	return failed("note", c.entryID(), c.note(ctx, n))
}

func (c Callback) note(ctx context.Context, n Note) error {
	if c.hub == nil {
		return errZero
	}
	note, err := newNote(n)
	if err != nil {
		return err
	}
	_, err = c.update(ctx, func(e entry) (entry, bool, error) {
		e.until = e.due // a hub that has claimed the entry keeps its claim
		if !lifecycle.Known(e.rec.State) {
			return e, false, errNewer
		}
		added, err := addNote(e.rec, note, !n.At.IsZero())
		return e, added, err
	})
	return err
}

// newNote checks a note, and returns it in its stored form.
func newNote(n Note) (*record.Note, error) {
	now := time.Now()
	if n.At.IsZero() {
		n.At = now
	}
	switch {
	case n.Kind == "" || !utf8.ValidString(n.Kind) || !utf8.ValidString(n.By):
		return nil, fmt.Errorf("%w: Note.Kind is required, and Kind and By must be UTF-8", ErrInvalidArgument)
	case n.At.Year() <= 1970 || n.At.Year() > 2261:
		return nil, fmt.Errorf("%w: Note.At must be a year from 1971 to 2261, got %d", ErrInvalidArgument, n.At.Year())
	}
	note := &record.Note{At: n.At.UnixNano(), Kind: n.Kind, By: n.By}
	if len(n.Data) > 0 && len(n.Data) <= lifecycle.MaxNote {
		var data bytes.Buffer
		if json.Compact(&data, n.Data) != nil || !utf8.Valid(n.Data) {
			return nil, fmt.Errorf("%w: Note.Data must be one JSON value", ErrInvalidArgument)
		}
		note.Data = data.Bytes()
	}
	if size := max(len(n.Data), lifecycle.NoteSize(note)); size > lifecycle.MaxNote {
		return nil, fmt.Errorf("%w: a note must be at most %d bytes, got %d", ErrInvalidArgument, lifecycle.MaxNote, size)
	}
	return note, nil
}

// addNote adds the note and reports whether the record has changed.
func addNote(r *record.Record, n *record.Note, dated bool) (added bool, err error) {
	switch lifecycle.AddNote(r, n, dated) {
	case lifecycle.NoteAdded:
		return true, nil
	case lifecycle.NoteKnown:
		return false, nil
	default:
		return false, fmt.Errorf("%w: it has %d notes; at most %d notes and %d bytes of them are kept", ErrJournalFull, len(r.Notes), lifecycle.MaxNotes, lifecycle.MaxJournal)
	}
}

// Decide adds a note to the journal. If f returns done, Decide also completes
// the activity with f's result. Note and result are one write: after a crash,
// either both are present or neither is. Decide reports whether the round has
// its outcome.
//
// f gets the journal with the new note in it. f returns done and the result
// when the notes are sufficient for a decision. If f returns an error, Decide
// writes nothing and returns the error. f must depend on the notes only. f runs
// again whenever another process has written in between, so exactly one of any
// number of callers completes the activity.
//
// Decide recognizes repeats by the note, as [Callback.Note] does. A repeat of a
// note that is in the journal of a decided round returns true and changes
// nothing. Set At, so that Decide can recognize a repeat. For a note that comes
// after the outcome, Decide returns ErrSettled, and the note is not added.
//
// A result is checked, accepted and delivered as in [Pending.Complete], which
// lists the errors. The errors of Note apply too.
func (p Pending[T]) Decide(ctx context.Context, n Note, f func(notes []Note) (result T, done bool, err error)) (done bool, err error) {
	if f == nil {
		err = fmt.Errorf("%w: the function is nil", ErrInvalidArgument)
	} else {
		done, err = p.decide(ctx, n, f)
	}
	return done, failed("decide", p.entryID(), err)
}

func (p Pending[T]) decide(ctx context.Context, n Note, f func([]Note) (T, bool, error)) (done bool, err error) {
	if p.hub == nil {
		return false, errZero
	}
	idempotency, err := idempotencyKeyOf(ctx)
	if err != nil {
		return false, err
	}
	name, err := resultType[T]()
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrTypeMismatch, err)
	}
	note, err := newNote(n)
	if err != nil {
		return false, err
	}
	dated := !n.At.IsZero()
	var tried [][]byte // fingerprints of results that may have been accepted
	for range maxConflicts {
		e, again, err := p.undecided(ctx, note, dated, tried)
		if err != nil || again {
			return again, err
		}
		if e.rec.ResultType != name {
			return false, &TypeMismatchError{Want: e.rec.ResultType, Got: name}
		}
		added, err := addNote(e.rec, note, dated)
		if err != nil {
			return false, err
		}
		result, done, err := runDecision(e.rec, f)
		switch {
		case err != nil:
			return false, err
		case !done && !added:
			return false, nil
		case !done:
			e.until = e.due // a hub that has claimed the entry keeps its claim
			_, err = p.hub.entries.save(ctx, e)
		default:
			var fp []byte
			if fp, err = p.settleOn(ctx, e, result, idempotency); errors.Is(err, errConflict) {
				tried = append(tried, fp)
			}
		}
		if !errors.Is(err, errConflict) {
			return done && err == nil, err
		}
	}
	return false, errConflicts
}

// undecided reads the entry of a round that a note may decide. again reports
// that the round has its outcome, and that the note is a repeat. tried contains
// the fingerprints of results that may have been accepted.
func (p Pending[T]) undecided(ctx context.Context, note *record.Note, dated bool, tried [][]byte) (e entry, again bool, err error) {
	e, before, err := p.read(ctx, p.hub.entries)
	switch {
	case err != nil:
		return e, false, err
	case answeredBefore(e.rec, tried...):
		return e, true, nil // the reply to an earlier try of this call was lost
	case before != nil:
		again, err = answered(lifecycle.Judge(before.Kind, before.Fingerprint, record.Result, nil), before.Kind, e.rec)
	default:
		again, err = answered(lifecycle.Decided(e.rec, note, dated), e.rec.Outcome.GetKind(), e.rec)
	}
	return e, again, err
}

// runDecision calls the application's function, which judges the journal.
func runDecision[T any](r *record.Record, f func([]Note) (T, bool, error)) (result T, done bool, err error) {
	_, err = guarded("the function that decides", func() (struct{}, error) {
		var err error
		result, done, err = f(notesOf(r))
		return struct{}{}, err
	})
	return result, done, err
}

// settleOn settles the round of a waiting entry with a result. settleOn returns
// the result's fingerprint.
func (p Pending[T]) settleOn(ctx context.Context, e entry, result T, idempotency string) ([]byte, error) {
	o, err := p.offer(ctx, result)
	if err != nil {
		return nil, p.hub.deliverer.refuse(ctx, p.handle, record.Result, err)
	}
	out := &record.Outcome{Kind: o.kind, Mark: newMark(o.kind), Fingerprint: o.fingerprintFor(e, p.handle, idempotency)}
	if out.Payload, err = o.encode(e.rec, out.Mark); err != nil {
		return nil, p.hub.deliverer.refuse(ctx, p.handle, record.Result, err)
	}
	ctx, seen := p.hub.lookout.observeSettle(ctx, e, o.kind)
	seen.keep(e.rec)
	err = p.hub.deliverer.accept(ctx, p.handle, e, o, out, &seen)
	if seen.open() { // the outcome was not accepted
		seen.end(Done{Class: verdictClass(err)})
	}
	return out.Fingerprint, err
}
