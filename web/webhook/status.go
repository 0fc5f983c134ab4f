package webhook

import (
	"errors"
	"net/http"
	"os"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/web/answer"
)

// verdict is the meaning of an error for the sender of an answer.
type verdict struct {
	err    error
	status int
	code   string
	retry  bool // a repeat may succeed
	detail string
}

// verdicts is the only table of errors and statuses. The first match counts,
// because an error may wrap several.
var verdicts = []verdict{
	{async.ErrClosed, http.StatusGone, "closed", false, "The activity is over without this answer."},
	{async.ErrSettled, http.StatusConflict, "settled", false, "Another answer was accepted before this one."},
	{async.ErrSuperseded, http.StatusConflict, "superseded", false, "This request for an answer is over, and a later one has another address."},
	{async.ErrNotFound, http.StatusNotFound, "not-found", false, "Nothing waits at this address: it is wrong, or its retention is over."},
	{async.ErrTypeMismatch, http.StatusUnprocessableEntity, "type-mismatch", false, "The activity awaits a result of another type."},
	{completer.ErrCancelNotRequested, http.StatusConflict, "cancel-not-requested", false, "No cancellation was requested, as far as is known here."},
	{async.ErrKeyInUse, http.StatusConflict, "key-in-use", false, "Another activity has this business key."},
	{async.ErrJournalFull, http.StatusConflict, "journal-full", false, "As many notes as are kept have been left here, and nothing was changed."},
	{async.ErrInvalidResult, http.StatusUnprocessableEntity, "invalid", false, "The result was refused, and the activity still waits."},
	{async.ErrInvalidFailure, http.StatusUnprocessableEntity, "invalid", false, "The failure was refused, and the activity still waits."},
	{async.ErrInvalidArgument, http.StatusUnprocessableEntity, "invalid-argument", false, "A key, a namespace or a reference was refused, and nothing was changed."},
	{async.ErrTooLarge, http.StatusRequestEntityTooLarge, "too-large", false, "The value is larger than Temporal takes, and the activity still waits."},
	{answer.ErrMediaType, http.StatusUnsupportedMediaType, "media-type", false, "The body must be application/json in UTF-8."},
	{ErrBadLink, http.StatusNotFound, "bad-link", false, "This is not a link that was sent from here: it may have lost a character."},
	{ErrExpiredLink, http.StatusGone, "expired-link", false, "The link has expired."},
	{ErrNotAllowed, http.StatusForbidden, "not-allowed", false, "The link doesn't allow this action."},
	{ErrSignature, http.StatusUnauthorized, "signature", false, "The signature is missing, wrong or too old."},
	{os.ErrDeadlineExceeded, http.StatusRequestTimeout, "slow-body", true, "The body didn't arrive in time."},
}

var (
	accepted    = verdict{nil, http.StatusOK, "ok", false, ""}
	unavailable = verdict{nil, http.StatusServiceUnavailable, "unavailable", true, "It is not known whether the answer was accepted: send the same again."}
	invalidBody = verdict{nil, http.StatusUnprocessableEntity, "invalid", false, "The body is not what is awaited, and nothing was accepted."}
	largeBody   = verdict{nil, http.StatusRequestEntityTooLarge, "body-too-large", false, "The body is larger than is accepted here."}
)

// Status returns the HTTP status and the stable code for an error of Latchkey.
// Status is for handlers of one callback's address. For senders that send all
// their messages to one address, see Receive.
//
//	nil                               200 ok
//	a signal of Heartbeat             200 ok
//	async.ErrNotFound                 404 not-found
//	async.ErrTypeMismatch             422 type-mismatch
//	async.ErrInvalidResult            422 invalid, as async.ErrInvalidFailure and answer.Invalid
//	async.ErrInvalidArgument          422 invalid-argument
//	async.ErrTooLarge                 413 too-large
//	*http.MaxBytesError               413 body-too-large
//	async.ErrSettled                  409 settled
//	async.ErrSuperseded               409 superseded
//	async.ErrClosed                   410 closed
//	completer.ErrCancelNotRequested   409 cancel-not-requested
//	async.ErrKeyInUse                 409 key-in-use
//	async.ErrJournalFull              409 journal-full
//	answer.ErrMediaType               415 media-type
//	ErrBadLink                        404 bad-link
//	ErrExpiredLink                    410 expired-link
//	ErrNotAllowed                     403 not-allowed
//	ErrSignature                      401 signature
//	os.ErrDeadlineExceeded            408 slow-body
//	any other error                   503 unavailable, to be sent with Retry-After
//
// After a 503 it is unknown whether the answer was accepted, and the same
// answer may be sent again.
func Status(err error) (status int, code string) {
	v := verdictOf(err)
	return v.status, v.code
}

func verdictOf(err error) verdict {
	if err == nil {
		return accepted
	}
	for _, v := range verdicts {
		if errors.Is(err, v.err) {
			return v
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return largeBody
	}
	if len(answer.Invalids(err)) > 0 {
		return invalidBody
	}
	if len(signals(err)) > 0 {
		return accepted
	}
	return unavailable
}

// signals returns the names of the signals in an error of Heartbeat.
func signals(err error) []string {
	names := []string{}
	for _, s := range []struct {
		err  error
		name string
	}{
		{async.ErrCancelRequested, "cancel-requested"},
		{async.ErrPaused, "paused"},
		{async.ErrReset, "reset"},
	} {
		if errors.Is(err, s.err) {
			names = append(names, s.name)
		}
	}
	return names
}
