package main

import (
	"errors"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// explanations say what an error of Latchkey's means to a person, by the code
// that webhook.Status gives it.
var explanations = map[string]string{
	"not-found":     "This link leads nowhere. It may have lost a character on its way, or the decision was so long ago that it is no longer kept.",
	"settled":       "This expense was decided before, and not in the same way. The first decision stands.",
	"superseded":    "This expense has been asked for anew, under another link.",
	"closed":        "The expense no longer waits: it was withdrawn, or it has ended in another way.",
	"type-mismatch": "What waits under this link isn't an expense.",
	"invalid":       "The decision isn't complete, so nothing was decided.",
	"too-large":     "The decision is too long, so nothing was decided.",
}

// explain returns the HTTP status of an error, and a text for a person.
func explain(err error) (status int, text string) {
	status, code := webhook.Status(err)
	if errors.Is(err, async.ErrExpired) {
		return status, "Time is up: there was no decision on this expense while it waited."
	}
	if text, ok := explanations[code]; ok {
		return status, text
	}
	return status, "It isn't known now whether this was done. Please try again: the same decision twice does no harm."
}
