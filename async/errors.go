package async

import (
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
)

// What the methods of Hub, Callback and Pending answer. Use errors.Is: they
// come wrapped with the operation and the shortened callback ID.
var (
	// ErrNotFound means that nothing waits under this callback ID: it is
	// malformed, unknown, of another store, has a wrong secret, or its entry
	// is gone.
	ErrNotFound = errors.New("async: no such callback")
	// ErrTypeMismatch comes as a [TypeMismatchError].
	ErrTypeMismatch = errors.New("async: another type is awaited")
	// ErrInvalidResult means that the result is a nil pointer, fails its own
	// Validate, or can't be encoded.
	ErrInvalidResult = errors.New("async: invalid result")
	// ErrInvalidFailure means that there is no failure in what was given.
	ErrInvalidFailure = errors.New("async: invalid failure")
	// ErrTooLarge means that what was given is, encoded, over the blob limit,
	// where Temporal would have failed the activity for it.
	ErrTooLarge = errors.New("async: over the blob limit")
	// ErrSettled means that another outcome was accepted before this one.
	ErrSettled = errors.New("async: another outcome was accepted before")
	// ErrSuperseded means that the asking that this callback ID belongs to
	// ended without an outcome, and another is under way with an ID of its own.
	ErrSuperseded = errors.New("async: a later attempt has another callback ID")
	// ErrKeyInUse means that another activity has this business key, and is
	// pending or belongs to another workflow, or can't be asked after; or that
	// the attempt is a late one, of a run before a reset.
	ErrKeyInUse = lifecycle.ErrKeyInUse
	// ErrClosed means that the activity is over without this outcome. The
	// reason is wrapped with it: ErrExpired, ErrUnknownEnd, ErrAbandoned or
	// [completer.ErrOver].
	ErrClosed = errors.New("async: the activity is over")
	// ErrNoOutcome means that nothing has been accepted yet.
	ErrNoOutcome = errors.New("async: no outcome was accepted yet")
	// ErrOutcomeGone means that an outcome was accepted and delivered, and that
	// its content is no longer kept: see [Options].KeepOutcomes.
	ErrOutcomeGone = errors.New("async: the outcome is no longer kept")
	// ErrInvalidArgument means that a key, a namespace, a reference or another
	// option of the call is empty, too long or not UTF-8. Nothing was accepted,
	// and the same call fails again.
	ErrInvalidArgument = errors.New("async: invalid argument")
	// ErrJournalFull means that a round has as many notes as are kept. The note was
	// not added.
	ErrJournalFull = errors.New("async: the journal of the round is full")
	// ErrExpired is a reason: the activity timed out.
	ErrExpired = errors.New("async: the activity timed out")
	// ErrUnknownEnd is a reason: Temporal no longer keeps the history that
	// would tell how the activity ended. The outcome may have reached it.
	ErrUnknownEnd = errors.New("async: how the activity ended is no longer known")
	// ErrCancelRequested is a signal: somebody wants the activity cancelled.
	// Stop what was begun, and answer with ReportCanceled, Complete or Fail.
	ErrCancelRequested = errors.New("async: cancellation was requested")
	// ErrPaused is a signal: no further attempt begins until somebody lifts the
	// pause. An answer is taken all the same.
	ErrPaused = errors.New("async: activity is paused")
	// ErrReset is a signal: somebody has the activity begin anew. The attempt
	// that waits is the last that began before.
	ErrReset = errors.New("async: activity was reset")
	// ErrAbandoned is a reason: an operator has ended the entry with Abandon.
	ErrAbandoned = errors.New("async: abandoned by an operator")
)

// errOnlyResultsEarly answers a failure by key where no activity has asked yet.
var errOnlyResultsEarly = fmt.Errorf("%w: no activity has this key yet, and only a result may come before its activity; try again when the activity waits", ErrNotFound)

// errNewer means that the entry was written by a release that knows more.
var errNewer = lifecycle.ErrNewer

// TypeMismatchError says which result type an activity awaits and which was
// offered. errors.Is finds [ErrTypeMismatch] in it.
type TypeMismatchError struct{ Want, Got string }

// Error names both types.
func (e *TypeMismatchError) Error() string {
	return fmt.Sprintf("async: the activity awaits a result of type %q, got %q", e.Want, e.Got)
}

// Is reports whether target is ErrTypeMismatch.
func (e *TypeMismatchError) Is(target error) bool { return target == ErrTypeMismatch }

// opError says which operation failed on which callback.
type opError struct {
	op  string
	id  string // shortened
	err error
}

func (e *opError) Error() string {
	cause := strings.TrimPrefix(e.err.Error(), "async: ")
	if e.id != "" {
		return fmt.Sprintf("async: %s %s: %s", e.op, e.id, cause)
	}
	return fmt.Sprintf("async: %s: %s", e.op, cause)
}

func (e *opError) Unwrap() error { return e.err }

// failed wraps err once, for the caller.
func failed(op, id string, err error) error {
	if err == nil {
		return nil
	}
	return &opError{op: op, id: shortID(id), err: err}
}
