package main

import (
	"errors"

	"github.com/latchkey-go/latchkey/async"
)

// explain returns what an error of Latchkey means for the person who decides.
// webhook.Status says the same to a program.
func explain(err error) string {
	switch {
	case errors.Is(err, async.ErrNotFound):
		return "This link leads nowhere. It may have lost a character on its way, or the decision was so long ago that it is no longer kept."
	case errors.Is(err, async.ErrSettled):
		return "This expense was decided before, and not in the same way. The first decision stands."
	case errors.Is(err, async.ErrSuperseded):
		return "This expense has been asked for anew, under another link."
	case errors.Is(err, async.ErrExpired):
		return "Time is up: nobody decided on this expense while it waited."
	case errors.Is(err, async.ErrClosed):
		return "The expense no longer waits: it was withdrawn, or ended by somebody else."
	case errors.Is(err, async.ErrTypeMismatch):
		return "What waits under this link isn't an expense."
	case errors.Is(err, async.ErrInvalidResult):
		return "The decision isn't complete, so nothing was decided."
	case errors.Is(err, async.ErrTooLarge):
		return "The decision is too long, so nothing was decided."
	default:
		return "It isn't known now whether this was done. Please try again: the same decision twice does no harm."
	}
}
