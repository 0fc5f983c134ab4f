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

	// Identify returns the person who made a request, with the groups that the
	// person is in now. If it returns an error, it should have answered the
	// request, such as by a redirect to a page to sign in; if it has not, the
	// answer is 401. Required unless Links is set.
	Identify func(w http.ResponseWriter, r *http.Request) (Person, error)

	// Links seals and opens links with which people answer without sign-in.
	// Required unless Identify is set.
	Links *webhook.Keys

	// Lookup returns the person with an ID, with the groups that the person is in
	// now. The inbox asks it about the addressees of links and the targets of
	// delegations. An error refuses the action. It must return one for the name of
	// a group: the holder of a link for a group would answer as the group, and
	// Request.NotBy could not apply. Defaults to a person without groups, so that a
	// link counts only where a Request names its addressee, and each name in
	// Request.For must be a person's.
	Lookup func(ctx context.Context, id string) (Person, error)

	// May is the application's own rule: an error keeps the person from looking
	// at the request and from acting on it. Its text is logged, and not shown.
	// Defaults to none.
	May func(ctx context.Context, p Person, r Request, i async.Info) error

	// OnPost sends a message about a request to a person or a group, with the
	// address at which to decide: a link that needs no sign-in if Links is set and
	// Lookup knows the person, otherwise the address of the page. Post calls it for each entry of Request.For. If
	// it returns an error, so does Post: the attempt fails, the next one posts
	// again, and OnPost is called for those who got no message yet. It may be
	// called again for one who did, if the process died in between. It is called
	// for the target of a delegation too, once. Defaults to none.
	OnPost func(ctx context.Context, who string, r Request, link string) error

	// Base is the address at which the inbox is mounted, such as
	// "https://example.com/inbox". Required with OnPost.
	Base string

	// LinkAge is how long the links that OnPost gets can be used. Defaults to 14
	// days.
	LinkAge time.Duration

	// Templates replaces parts of the pages. Its templates take the place of those
	// of the inbox with the same name: "header", "footer", "list", "request" and
	// "message". Defaults to none.
	Templates *template.Template

	// Wait is how long an action may take. Defaults to 5 s.
	Wait time.Duration

	// Logger gets a line for each action at debug level, without what people
	// wrote, and warnings. Defaults to slog.Default().
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
// A page of the list looks at 2,000 entries and shows 50 requests at most. It leads
// to the next page, by the query parameter "after".
//
// Mount it below a path that ends in a slash, with http.StripPrefix. With
// "Accept: application/json" the first three speak JSON. Its methods may be
// called concurrently.
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

// sample is the time in the votes with which SetDecided is tried.
var sample = time.Date(2026, time.November, 30, 9, 0, 0, 0, time.UTC)

// New returns an inbox, or says which option is wrong.
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

// checkBase returns the problem of the inbox's address, if it has one.
func checkBase(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New("must be an http or https URL without user, query and fragment")
	}
	return nil
}

// errUnknownType means that the inbox has no form for the awaited type. A process
// of another release may have one.
var errUnknownType = errors.New("inbox: Options.Types has no type of the name that the activity awaits")

// formOf returns the form for the awaited type of a callback.
func (x *Inbox) formOf(c async.Callback) (*form, error) {
	if f := x.forms[c.Info().ResultType]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("%w: %q", errUnknownType, c.Info().ResultType)
}
