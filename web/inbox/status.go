package inbox

import (
	"errors"
	"net/http"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// refusals contains the HTTP statuses for the codes of a Refusal.
var refusals = map[string]int{
	"not-asked":     http.StatusForbidden,
	"barred":        http.StatusForbidden,
	"may":           http.StatusForbidden,
	"claimed":       http.StatusConflict,
	"passed-on":     http.StatusConflict,
	"not-offered":   http.StatusConflict,
	"limit":         http.StatusConflict,
	"superseded":    http.StatusConflict,
	"no-request":    http.StatusNotFound,
	"not-by-person": http.StatusForbidden,
}

// statusOf returns the HTTP status of an error and its code.
func statusOf(err error) (status int, code string) {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return refusals[r.Code], r.Code
	}
	switch {
	case errors.Is(err, errUnknownType):
		return http.StatusServiceUnavailable, "unknown-type"
	case errors.Is(err, errUnknownPerson):
		return http.StatusForbidden, "unknown-person"
	case errors.Is(err, errSignedOut):
		return http.StatusUnauthorized, "signed-out"
	}
	return webhook.Status(err)
}

// say returns the text about an error for a person.
func say(err error) string {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Text
	}
	switch status, code := statusOf(err); {
	case len(answer.Invalids(err)) > 0:
		return "Nothing was changed: please correct what is marked."
	case errors.Is(err, async.ErrSettled):
		return "This request was decided before. Your answer was not counted."
	case errors.Is(err, async.ErrClosed):
		return "This request is over. An answer is no longer wanted."
	case errors.Is(err, async.ErrInvalidArgument), errors.Is(err, async.ErrTooLarge):
		return "Your answer is too long. Nothing was changed."
	case errors.Is(err, async.ErrInvalidResult):
		return "The answer is refused. Nothing was changed."
	case errors.Is(err, async.ErrJournalFull):
		return "This request can't keep more answers. Nothing was changed."
	case errors.Is(err, webhook.ErrExpiredLink):
		return "This link has expired. Ask who sent it for another."
	case status == http.StatusNotFound, code == "not-allowed":
		return "There is nothing at this address. The link may have lost a character, or the request may be long over."
	case code == "unknown-person":
		return "The person that this link is for is no longer known here."
	case code == "signed-out":
		return "Please sign in first."
	case status == http.StatusRequestEntityTooLarge:
		return "The form is too large. Nothing was changed."
	default:
		return "This can't be done right now, and it is not known whether it was done. Try again: nothing is counted twice."
	}
}
