package main

import (
	"errors"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// explanations are texts for people, by the error codes of webhook.Status.
var explanations = map[string]string{
	"not-found":     "There is no expense under this link. The link may be incomplete, or the decision is so old that it is no longer kept.",
	"settled":       "This expense already has a different decision. The first decision counts.",
	"superseded":    "There is a newer request for this expense, with another link.",
	"closed":        "The expense no longer waits: it was withdrawn, or it has ended in another way.",
	"type-mismatch": "This link is not for an expense.",
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
	return status, "It is not known whether the decision was stored. Please try again: the same decision counts once."
}
