package inbox

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// Options configures an Inbox.
type Options struct {
	// Types are the result types that people can decide on. Required.
	Types []answer.Type

	// Identify returns the person who made a request, with the person's current
	// groups. If Identify returns an error, it should have answered the
	// request, for example with a redirect to a sign-in page. If Identify has
	// not answered, the answer is 401. Required unless Links is set.
	Identify func(w http.ResponseWriter, r *http.Request) (Person, error)

	// Links seals and opens links with which people answer without sign-in.
	// Required unless Identify is set.
	Links *webhook.Keys

	// Lookup returns the person with an ID, with the person's current groups.
	// The inbox calls Lookup for the addressees of links and the targets of
	// delegations. If Lookup returns an error, the action is refused. Lookup
	// must return an error for the name of a group. Otherwise the holder of a
	// link for a group would answer as the group, and Request.NotBy could not
	// apply. Defaults to a function that returns a person without groups. A
	// link then counts only if a Request names its addressee, and each name in
	// Request.For must be the ID of a person.
	Lookup func(ctx context.Context, id string) (Person, error)

	// May is the application's own rule. If May returns an error, the person
	// can neither see the request nor act on it. The text of the error is
	// logged, and not shown. Defaults to none.
	May func(ctx context.Context, p Person, r Request, i async.Info) error

	// OnPost sends a message about a request to a person or a group, with an
	// address for the decision. If Links is set and Lookup knows the person,
	// the address is a link that needs no sign-in. Otherwise the message has
	// the address of the page. Post calls OnPost for each entry of Request.For.
	// If OnPost returns an error, so does Post. The attempt then fails, and the
	// next one posts again and calls OnPost for those who got no message yet.
	// OnPost may be called again for a person who got a message, if the process
	// died in between. OnPost is also called once for the target of a
	// delegation. Defaults to none.
	OnPost func(ctx context.Context, who string, r Request, link string) error

	// Base is the address at which the inbox is mounted, such as
	// "https://example.com/inbox". Required with OnPost.
	Base string

	// LinkAge is how long the links in messages can be used. Defaults to 14
	// days.
	LinkAge time.Duration

	// Templates replaces parts of the pages. The given templates replace those
	// of the inbox with the same name: "header", "footer", "list", "request"
	// and "message". Defaults to none.
	Templates *template.Template

	// Wait is how long an action may take. Defaults to 5 s.
	Wait time.Duration

	// Logger gets warnings, and a line for each action at debug level, without
	// texts of people. Defaults to slog.Default().
	Logger *slog.Logger
}

// Inbox is the http.Handler of the pages:
//
//	GET  /            what waits for the person
//	GET  /i/{item}    a request
//	POST /i/{item}    acts on it
//	GET  /l/{token}   the page of a link
//	POST /l/{token}   answers by it
//
// A page of the list looks at no more than 2,000 entries and shows at most 50
// requests. The page links to the next page, with the query parameter "after".
//
// Mount an Inbox below a path that ends in a slash, with http.StripPrefix. With
// "Accept: application/json", the first three addresses use JSON. The methods
// of an Inbox may be called concurrently.
type Inbox struct {
	hub         *async.Hub
	forms       map[string]*form
	o           Options
	pages       *template.Template
	crossOrigin *http.CrossOriginProtection
	mux         *http.ServeMux
	log         *slog.Logger
}

const (
	defaultWait    = 5 * time.Second
	defaultLinkAge = 14 * 24 * time.Hour
	maxForm        = 256 << 10 // bytes
)

// sample is the time in the votes with which New tries SetDecided.
var sample = time.Date(2026, time.November, 30, 9, 0, 0, 0, time.UTC)

// New returns an inbox, or an error that names the wrong option.
func New(h *async.Hub, o Options) (*Inbox, error) {
	switch {
	case h == nil:
		return nil, errors.New("inbox: the hub is required")
	case len(o.Types) == 0:
		return nil, errors.New("inbox: Options.Types is required")
	case o.Identify == nil && o.Links == nil:
		return nil, errors.New("inbox: Options.Identify is required unless Options.Links is set: without both, no person could decide")
	case o.Wait < 0 || o.LinkAge < 0:
		return nil, fmt.Errorf("inbox: Options.Wait and Options.LinkAge must be positive, got %v and %v", o.Wait, o.LinkAge)
	case o.OnPost != nil && o.Base == "":
		return nil, errors.New("inbox: Options.Base is required with Options.OnPost")
	}
	if o.Base != "" {
		if err := checkBase(o.Base); err != nil {
			return nil, fmt.Errorf("inbox: Options.Base %w", err)
		}
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.LinkAge == 0 {
		o.LinkAge = defaultLinkAge
	}
	x := &Inbox{hub: h, forms: make(map[string]*form), o: o, crossOrigin: http.NewCrossOriginProtection(), log: o.Logger}
	if x.log == nil {
		x.log = slog.Default()
	}
	for i, t := range o.Types {
		if t.Name() == "" {
			return nil, fmt.Errorf("inbox: Options.Types[%d] must be made with answer.For, got the zero Type", i)
		}
		if x.forms[t.Name()] != nil {
			return nil, fmt.Errorf("inbox: Options.Types must have each name once, got %s twice", t.Name())
		}
		f, err := newForm(t)
		if err != nil {
			return nil, err
		}
		x.forms[t.Name()] = f
	}
	if o.Links != nil {
		x.o.Links = &webhook.Keys{Keys: maps.Clone(o.Links.Keys), Active: o.Links.Active, Used: o.Links.Used}
		if _, err := x.o.Links.Open(""); !errors.Is(err, webhook.ErrBadLink) {
			return nil, fmt.Errorf("inbox: Options.Links: %w", err)
		}
	}
	var err error
	if x.pages, err = parsePages(o.Templates); err != nil {
		return nil, fmt.Errorf("inbox: Options.Templates: %w", err)
	}
	x.mux = x.routes()
	return x, nil
}

// checkBase returns the problem of the inbox's address, if there is one.
func checkBase(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New("must be an http or https URL without user, query and fragment")
	}
	return nil
}

// errUnknownType means that the inbox has no form for the awaited type. A
// process of another release may have such a form.
var errUnknownType = errors.New("inbox: Options.Types has no type of the name that the activity awaits")

// formOf returns the form for the awaited type of a callback.
func (x *Inbox) formOf(c async.Callback) (*form, error) {
	if f := x.forms[c.Info().ResultType]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("%w: %q", errUnknownType, c.Info().ResultType)
}
