package completer

import (
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
)

// Definite answers of a [Completer]. After any other error the effect of the
// call is unknown, and the call may be repeated.
var (
	// ErrOver means that the attempt is over or unknown. If the target has no
	// token, ErrOver is about the activity. ErrOver does not say how the target
	// ended: see [Completer].Describe.
	ErrOver = errors.New("completer: the attempt or the activity is over")

	// ErrNotStarted means that the activity is pending and that no attempt is
	// running.
	ErrNotStarted = errors.New("completer: no attempt is running")

	// ErrCancelNotRequested means that Temporal accepts no cancellation,
	// because none was requested.
	ErrCancelNotRequested = errors.New("completer: cancellation was not requested")

	// ErrRefused means that Temporal refuses this Completer for the namespace,
	// until an operator removes the cause: a missing permission, expired
	// credentials, an unknown namespace, or no client for the namespace.
	// Temporal may accept another Completer. A hub that is refused leaves the
	// namespace's heartbeats and answers to other hubs.
	ErrRefused = errors.New("completer: Temporal refuses this completer for now")

	// ErrCallRefused is an ErrRefused for one call: Temporal refuses the
	// arguments of the call, and would refuse them from any Completer.
	ErrCallRefused = fmt.Errorf("completer: this call: %w", ErrRefused)

	// ErrUnknownStatus means that Temporal's answer has a status that this
	// release of Latchkey does not know. No conclusion follows from such an
	// answer.
	ErrUnknownStatus = errors.New("completer: this release of Latchkey does not know the status")
)

// classify wraps an error of the server in the error of this package that has
// the same meaning for callers.
func classify(err error) error {
	if err == nil {
		return nil
	}
	// The error has the code of NotFound, but says nothing about the activity.
	if is[*serviceerror.NamespaceNotFound](err) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	// Temporal answers FailedPrecondition to a call by ID if the standalone
	// activity is over.
	if is[*serviceerror.NotFound](err) || is[*serviceerror.FailedPrecondition](err) {
		return fmt.Errorf("%w: %w", ErrOver, err)
	}
	const unauthenticated = 16 // a gRPC code for which package serviceerror has no type
	switch {
	case is[*serviceerror.InvalidArgument](err), is[*serviceerror.Unimplemented](err):
		return fmt.Errorf("%w: %w", ErrCallRefused, err)
	case is[*serviceerror.PermissionDenied](err), serviceerror.ToStatus(err).Code() == unauthenticated:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
