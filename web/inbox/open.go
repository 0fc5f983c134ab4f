package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// tagLen is the number of characters of an item that identify its round.
const tagLen = 10

// itemOf returns the name of a callback's round in addresses. The name consists
// of the entry's ID, which authorizes nothing, and a digest of its callback ID.
// A page of an earlier round therefore decides nothing in a later one.
func itemOf(c async.Callback) string {
	sum := sha256.Sum256([]byte("latchkey inbox round\x00" + c.ID()))
	return c.Info().ID + "." + base64.RawURLEncoding.EncodeToString(sum[:])[:tagLen]
}

// openItem opens an item, or returns a Refusal if its round is over.
func (x *Inbox) openItem(ctx context.Context, item string) (async.Callback, error) {
	entry, _, ok := strings.Cut(item, ".")
	if !ok {
		return async.Callback{}, fmt.Errorf("%w: not an address of the inbox", async.ErrNotFound)
	}
	c, err := x.hub.Find(ctx, entry)
	if err != nil {
		return async.Callback{}, err
	}
	if itemOf(c) != item {
		return async.Callback{}, errSuperseded()
	}
	return c, nil
}

func errSuperseded() error {
	return refuse("superseded", "This request is over. A later one has taken its place, at another address.")
}

// open opens the callback that an adapter or a link names. The name is an item,
// its path, or a callback ID.
func (x *Inbox) open(ctx context.Context, name string) (async.Callback, error) {
	name = strings.TrimPrefix(name, "i/")
	if strings.Contains(name, ".") {
		return x.openItem(ctx, name)
	}
	c, err := x.hub.Open(ctx, name)
	if err != nil {
		return c, err
	}
	now, err := x.hub.Find(ctx, c.Info().ID)
	if err == nil && now.ID() != c.ID() {
		err = errSuperseded()
	}
	return now, err
}

// openLink opens the callback of a link. openLink returns the addressee with
// the groups that Options.Lookup finds.
func (x *Inbox) openLink(ctx context.Context, token string) (async.Callback, Person, error) {
	if x.o.Links == nil {
		return async.Callback{}, Person{}, webhook.ErrBadLink
	}
	claims, err := x.o.Links.Open(token)
	if err != nil {
		return async.Callback{}, Person{}, err
	}
	if claims.Allow&webhook.Decide == 0 || claims.For == "" {
		return async.Callback{}, Person{}, webhook.ErrNotAllowed
	}
	p, err := x.lookup(ctx, claims.For)
	if err != nil {
		return async.Callback{}, Person{}, err
	}
	p.Link, p.Name = true, ""
	c, err := x.open(ctx, claims.ID)
	return c, p, err
}

// lookup returns the person with an ID.
func (x *Inbox) lookup(ctx context.Context, id string) (Person, error) {
	if x.o.Lookup == nil {
		return Person{ID: id}, nil
	}
	p, err := x.o.Lookup(ctx, id)
	if err != nil {
		return Person{}, fmt.Errorf("%w: %w", errUnknownPerson, err)
	}
	p.ID, p.Link = id, false
	return p, nil
}

var errUnknownPerson = errors.New("inbox: Options.Lookup does not return the person")
