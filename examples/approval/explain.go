package main

import (
	"errors"
	"net/http"

	"github.com/latchkey-go/latchkey/async"
)

// explain says to people what an error of Latchkey's means for them, and which
// HTTP status says the same to a program.
func explain(err error) (status int, text string) {
	switch {
	case errors.Is(err, async.ErrNotFound):
		return http.StatusNotFound, "This link leads nowhere. It may have lost a character on its way, or the decision was so long ago that it is no longer kept."
	case errors.Is(err, async.ErrSettled):
		return http.StatusConflict, "This expense was decided before, and not in the same way. The first decision stands."
	case errors.Is(err, async.ErrSuperseded):
		return http.StatusGone, "This expense has been asked for anew, under another link."
	case errors.Is(err, async.ErrExpired):
		return http.StatusGone, "Time is up: nobody decided on this expense while it waited."
	case errors.Is(err, async.ErrClosed):
		return http.StatusGone, "The expense no longer waits: it was withdrawn, or ended by somebody else."
	case errors.Is(err, async.ErrTypeMismatch):
		return http.StatusConflict, "What waits under this link isn't an expense."
	case errors.Is(err, async.ErrInvalidResult):
		return http.StatusUnprocessableEntity, "The decision isn't complete, so nothing was decided."
	case errors.Is(err, async.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, "The decision is too long, so nothing was decided."
	default:
		return http.StatusServiceUnavailable, "It isn't known now whether this was done. Please try again: the same decision twice does no harm."
	}
}
