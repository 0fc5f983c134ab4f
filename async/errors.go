package async

import (
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
)

// Errors of the methods of Hub, Callback and Pending. The errors wrap these
// variables, with the operation and the shortened callback ID: use errors.Is.
var (
	// ErrNotFound means that no callback has this ID: the ID is malformed,
	// unknown to this store or has a wrong secret, or its entry has been
	// removed.
	ErrNotFound = errors.New("async: no such callback")
	// ErrTypeMismatch means that the activity awaits another type. The error is
	// a [TypeMismatchError].
	ErrTypeMismatch = errors.New("async: another type is awaited")
	// ErrInvalidResult means that the result is a nil pointer, fails its own
	// Validate method, or cannot be encoded. The activity still waits.
	ErrInvalidResult = errors.New("async: invalid result")
	// ErrInvalidFailure means that the error passed as a failure is nil, is
	// activity.ErrResultPending, or cannot be encoded. The activity still waits.
	ErrInvalidFailure = errors.New("async: invalid failure")
	// ErrTooLarge means that the encoded value is over the blob limit. Temporal
	// would have failed the activity. The activity still waits.
	ErrTooLarge = errors.New("async: over the blob limit")
	// ErrSettled means that another outcome was accepted before this one.
	ErrSettled = errors.New("async: another outcome was accepted before")
	// ErrSuperseded means that the round of this callback ID ended without an
	// outcome, and another round waits under its own callback ID.
	ErrSuperseded = errors.New("async: a later attempt has another callback ID")
	// ErrKeyInUse means that another activity has this business key. That
	// activity is still pending, belongs to another workflow, or has a state
	// that cannot be determined. ErrKeyInUse also means that the attempt is a
	// late one, from a run before a reset.
	ErrKeyInUse = lifecycle.ErrKeyInUse
	// ErrClosed means that the activity is over without this outcome. ErrClosed
	// wraps the reason: ErrExpired, ErrUnknownEnd, ErrAbandoned or
	// [completer.ErrOver].
	ErrClosed = errors.New("async: the activity is over")
	// ErrNoOutcome means that no outcome has been accepted yet.
	ErrNoOutcome = errors.New("async: no outcome was accepted yet")
	// ErrOutcomeGone means that an outcome was accepted and delivered, and that
	// its content is no longer stored: see [Options].KeepOutcomes.
	ErrOutcomeGone = errors.New("async: the outcome is no longer kept")
	// ErrInvalidArgument means that a key, a namespace, a reference or another
	// option of the call is empty, too long or not UTF-8. Nothing was accepted,
	// and the same call fails again.
	ErrInvalidArgument = errors.New("async: invalid argument")
	// ErrJournalFull means that the round has the maximum number of notes. The
	// note was not added.
	ErrJournalFull = errors.New("async: the journal of the round is full")
	// ErrExpired is a reason: the activity timed out.
	ErrExpired = errors.New("async: the activity timed out")
	// ErrUnknownEnd is a reason: it cannot be determined how the activity
	// ended, since Temporal no longer keeps the history. The outcome may have
	// reached Temporal.
	ErrUnknownEnd = errors.New("async: how the activity ended is no longer known")
	// ErrCancelRequested is a signal: cancellation of the activity was
	// requested. Stop the external work, and answer with ReportCanceled,
	// Complete or Fail.
	ErrCancelRequested = errors.New("async: cancellation was requested")
	// ErrPaused is a signal: the activity is paused, so no further attempt
	// begins. Answers are still accepted.
	ErrPaused = errors.New("async: activity is paused")
	// ErrReset is a signal: the activity was reset. The waiting attempt is the
	// last one that began before the reset.
	ErrReset = errors.New("async: activity was reset")
	// ErrAbandoned is a reason: an operator has ended the entry with Abandon.
	ErrAbandoned = errors.New("async: abandoned by an operator")
)

// errOnlyResultsEarly is the error for a failure by business key before the
// activity arrives.
var errOnlyResultsEarly = fmt.Errorf("%w: no activity has this key yet, and only a result may come before its activity; try again when the activity waits", ErrNotFound)

// errNewer means that a newer release wrote the entry in a state that this
// release does not know.
var errNewer = lifecycle.ErrNewer

// TypeMismatchError names the awaited result type and the offered type. It
// wraps [ErrTypeMismatch].
type TypeMismatchError struct{ Want, Got string }

// Error names both types.
func (e *TypeMismatchError) Error() string {
	return fmt.Sprintf("async: the activity awaits a result of type %q, got %q", e.Want, e.Got)
}

// Is reports whether target is ErrTypeMismatch.
func (e *TypeMismatchError) Is(target error) bool { return target == ErrTypeMismatch }

// opError names the operation that failed, and its callback.
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

// failed wraps err once for the caller.
func failed(op, id string, err error) error {
	if err == nil {
		return nil
	}
	return &opError{op: op, id: shortID(id), err: err}
}
