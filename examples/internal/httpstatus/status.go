// Package httpstatus maps the errors of package async to HTTP status codes, as
// the table in docs/guide.md says.
package httpstatus

import (
	"errors"
	"net/http"

	"github.com/latchkey-go/latchkey/async"
)

// Of returns the status code for the error of Open, Complete, Fail, Reject or
// ReportCanceled. Nil is 204. An error that leaves the outcome unknown is 503:
// the sender retries with the same value.
func Of(err error) int {
	switch {
	case err == nil:
		return http.StatusNoContent
	case errors.Is(err, async.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, async.ErrClosed): // before its reasons, one of which is ErrTypeMismatch
		return http.StatusGone
	case errors.Is(err, async.ErrTypeMismatch), errors.Is(err, async.ErrInvalidResult), errors.Is(err, async.ErrInvalidFailure):
		return http.StatusUnprocessableEntity
	case errors.Is(err, async.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, async.ErrSettled), errors.Is(err, async.ErrSuperseded), errors.Is(err, async.ErrCancelNotRequested):
		return http.StatusConflict
	default:
		return http.StatusServiceUnavailable
	}
}
