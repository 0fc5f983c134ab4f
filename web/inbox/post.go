package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// Post puts a request into the inbox. Post returns the request's path below the
// address of the inbox, such as "i/…". Call Post in the function of
// async.Start. Later attempts may call Post again for the same round. An equal
// request is not posted twice. A different request replaces the earlier one,
// whose votes stay.
//
// An invalid request fails the activity without a retry. The function should
// return any other error, so that the next attempt posts again.
func (x *Inbox) Post(ctx context.Context, c async.Callback, r Request) (path string, err error) {
	if err := r.check(x.o.Links != nil); err != nil {
		return "", unretried(err)
	}
	if _, err := x.formOf(c); err != nil {
		return "", fmt.Errorf("inbox: post: %w", err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return "", unretried(fmt.Errorf("%w: %w", ErrInvalidRequest, err))
	}
	err = c.Note(ctx, async.Note{Kind: noteRequest, By: noteRequest, Data: data})
	if errors.Is(err, async.ErrInvalidArgument) { // the request is larger than a note may be
		return "", unretried(fmt.Errorf("%w: %w", ErrInvalidRequest, err))
	}
	if err != nil {
		return "", fmt.Errorf("inbox: post: %w", err)
	}
	path = "i/" + itemOf(c)
	return path, x.announce(ctx, c, r, r.For)
}

// announce sends the messages about a request that have not been sent.
func (x *Inbox) announce(ctx context.Context, c async.Callback, r Request, to []string) error {
	if x.o.OnPost == nil {
		return nil
	}
	c, err := x.hub.Open(ctx, c.ID())
	if err != nil {
		return fmt.Errorf("inbox: post: %w", err)
	}
	j := read(c.Notes())
	for _, who := range to {
		if slices.Contains(j.sent, who) {
			continue
		}
		if err := x.send(ctx, c, r, who); err != nil {
			return err
		}
	}
	return nil
}

// send sends one message, and records that it was sent.
func (x *Inbox) send(ctx context.Context, c async.Callback, r Request, who string) error {
	link, err := x.linkFor(ctx, c, who)
	if err != nil {
		return err
	}
	if err := x.o.OnPost(ctx, who, r, link); err != nil {
		return fmt.Errorf("inbox: OnPost: %w", err)
	}
	data, err := json.Marshal(note{To: who})
	if err == nil {
		err = c.Note(ctx, async.Note{Kind: noteSent, By: noteSent + " " + who, Data: data})
	}
	if err != nil {
		return fmt.Errorf("inbox: the message was sent, and that could not be noted: %w", err)
	}
	return nil
}

// linkFor returns the address for a message. A group gets no sealed link,
// because each of its members would answer as the group and bypass
// Request.NotBy.
func (x *Inbox) linkFor(ctx context.Context, c async.Callback, who string) (string, error) {
	if x.o.Links != nil {
		_, err := x.lookup(ctx, who)
		if err == nil {
			return x.Link(x.o.Base, c, who, time.Now().Add(x.o.LinkAge))
		}
		if x.o.Identify == nil {
			return "", err
		}
	}
	return url.JoinPath(x.o.Base, "i", itemOf(c))
}

// Link returns a link with which its addressee answers without sign-in. base is
// the address at which the inbox is mounted. The link belongs to one round and
// answers no other. Anyone who has the link can answer, so send it only to the
// addressee.
func (x *Inbox) Link(base string, c async.Callback, to string, expires time.Time) (string, error) {
	if x.o.Links == nil {
		return "", errors.New("inbox: a link needs Options.Links")
	}
	if err := checkBase(base); err != nil {
		return "", fmt.Errorf("inbox: the base of a link %w", err)
	}
	if problem := checkWho(to); problem != "" {
		return "", fmt.Errorf("inbox: the addressee of a link %s", problem)
	}
	if !time.Now().Before(expires) {
		return "", fmt.Errorf("inbox: a link must expire in the future, got %v", expires)
	}
	token, err := x.o.Links.Seal(webhook.Claims{ID: c.ID(), Allow: webhook.Decide, Expires: expires, For: to})
	if err != nil {
		return "", err
	}
	return url.JoinPath(base, "l", token)
}
