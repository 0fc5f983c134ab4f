package board

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
)

// Options configures a Board.
type Options struct {
	// Authorize decides whether the sender of a request may perform an action.
	// Authorize returns the caller's name, which the journal and Audit get, or
	// an error: ErrSignIn for an unknown caller, and any other error for a
	// caller without permission.
	//
	// Authorize is first called for View and the zero Callback, which stands
	// for the board as a whole. Authorize is then called for each entry that a
	// page shows, so it must be quick. Before an action, Authorize is called
	// for View and for the action. Authorize may be called concurrently. A
	// caller that may act must have a name. Required.
	Authorize func(ctx context.Context, r *http.Request, a Action, c async.Callback) (by string, err error)

	// Types are the result types with which operators may answer. async.None is
	// always one of them. Defaults to no types: entries can then be failed and
	// rejected, but not completed.
	Types []answer.Type

	// NoteKinds are the kinds of notes whose data is shown. For other notes,
	// only time, kind and author are shown, because their data may be answers.
	// The board's own notes are always shown. Defaults to none.
	NoteKinds []string

	// Temporal is the address of Temporal's UI, for links, such as
	// "https://temporal.example.com". Defaults to no links.
	Temporal string

	// Audit is called before each action, with the name that Authorize returned
	// and the reason that the caller gave. If Audit returns an error, the
	// action is not performed. Audit may be called concurrently. Defaults to
	// none.
	Audit func(ctx context.Context, by string, a Action, c async.Callback, why string) error

	// Logger gets a line for each action at info level, without the reason, and
	// warnings. Defaults to slog.Default().
	Logger *slog.Logger
}

// Board is an http.Handler: see the package's documentation for its addresses.
// The methods of a Board may be called concurrently.
type Board struct {
	hub         *async.Hub
	authorize   func(ctx context.Context, r *http.Request, a Action, c async.Callback) (string, error)
	audit       func(ctx context.Context, by string, a Action, c async.Callback, why string) error
	types       map[string]answer.Type
	bodies      map[string]answer.Type // the body types of actions, by verb
	bulkBody    answer.Type
	noteKinds   []string
	temporal    *url.URL // nil: no links
	crossOrigin *http.CrossOriginProtection
	log         *slog.Logger
	openAPI     json.RawMessage
}

// New returns a board of the hub's store, or an error that names the wrong
// option. The hub needs no completer: without one, the board accepts answers,
// and a hub of another process delivers them.
func New(h *async.Hub, o Options) (*Board, error) {
	switch {
	case h == nil:
		return nil, errors.New("board: the hub is required")
	case o.Authorize == nil:
		return nil, errors.New("board: Options.Authorize is required: a board without it would let everyone answer")
	}
	b := &Board{
		hub: h, authorize: o.Authorize, audit: o.Audit, types: make(map[string]answer.Type),
		noteKinds: append(slices.Clone(o.NoteKinds), noteKind), crossOrigin: http.NewCrossOriginProtection(), log: o.Logger,
	}
	for i, t := range o.Types {
		if t.Name() == "" {
			return nil, fmt.Errorf("board: Options.Types[%d] must be made with answer.For, got the zero Type", i)
		}
		if _, twice := b.types[t.Name()]; twice {
			return nil, fmt.Errorf("board: Options.Types must have each name once, got %s twice", t.Name())
		}
		b.types[t.Name()] = t
	}
	none, err := answer.For[async.None](answer.TypeOptions{})
	if err != nil {
		return nil, err
	}
	b.types[none.Name()] = none
	if b.temporal, err = checkTemporal(o.Temporal); err != nil {
		return nil, err
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	if b.bodies, b.bulkBody, err = bodyTypes(); err != nil {
		return nil, err
	}
	b.openAPI, err = openAPI(b.bodies, b.bulkBody, slices.SortedFunc(maps.Values(b.types), func(x, y answer.Type) int { return strings.Compare(x.Name(), y.Name()) }))
	return b, err
}

// OpenAPI returns the OpenAPI 3.1 document of the JSON API. The caller must not
// change the document.
func (b *Board) OpenAPI() json.RawMessage { return b.openAPI }

// route is an address of the board.
type route struct {
	method string
	serve  func(b *Board, x *exchange)
}

// routeOf finds the route of a path, with the entry and the verb in the path.
func routeOf(p string) (_ route, id, verb string, known bool) {
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	switch {
	case parts[0] == "entries" && len(parts) == 2 && parts[1] != "":
		return route{http.MethodGet, (*Board).showEntry}, parts[1], "", true
	case parts[0] == "entries" && len(parts) == 3 && verbs[parts[2]].do != nil:
		return route{http.MethodPost, (*Board).actOnOne}, parts[1], parts[2], true
	case len(parts) > 1:
		return route{}, "", "", false
	case parts[0] == "bulk":
		return route{http.MethodPost, (*Board).actOnSeveral}, "", "", true
	case parts[0] == "counts":
		return route{http.MethodGet, (*Board).showCounts}, "", "", true
	case parts[0] == "openapi.json":
		return route{http.MethodGet, (*Board).showOpenAPI}, "", "", true
	}
	if _, ok := lists[parts[0]]; ok {
		return route{http.MethodGet, (*Board).showList}, "", "", true
	}
	return route{}, "", "", false
}

// exchange is a request and its response.
type exchange struct {
	w    http.ResponseWriter
	r    *http.Request
	json bool   // the caller wants JSON, and not a page
	root string // relative path from this address to the board's: "", "../" or "../../"
	id   string // ID of the entry in the address
	verb string // in the address
	by   string // the caller's name
}

// ServeHTTP answers a request.
func (b *Board) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), guarding)
	if r.URL.Path == "" { // mounted without a slash at the end
		asked, _, _ := strings.Cut(r.RequestURI, "?")
		w.Header().Set("Location", url.PathEscape(path.Base(asked))+"/")
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	x := &exchange{w: w, r: r, json: wantsJSON(r), root: strings.Repeat("../", strings.Count(strings.TrimPrefix(r.URL.Path, "/"), "/"))}
	if r.URL.Path == "/style.css" {
		serveStyle(w, r)
		return
	}
	route, id, verb, known := routeOf(r.URL.Path)
	x.id, x.verb = id, verb
	allowed := []string{route.method}
	if route.method == http.MethodGet {
		allowed = append(allowed, http.MethodHead)
	}
	switch {
	case !known:
		b.refuse(x, errNoPage)
		return
	case !slices.Contains(allowed, r.Method):
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		b.refuse(x, errMethod)
		return
	case b.crossOrigin.Check(r) != nil:
		b.refuse(x, errOrigin)
		return
	}
	by, err := b.permit(r.Context(), r, View, async.Callback{})
	if err != nil {
		b.refuse(x, err)
		return
	}
	x.by = by
	route.serve(b, x)
}

func (b *Board) showOpenAPI(x *exchange) {
	x.reply(http.StatusOK, "application/json", b.openAPI)
}

// checkTemporal returns the address of Temporal's UI, or nil if there is none.
func checkTemporal(address string) (*url.URL, error) {
	if address == "" {
		return nil, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("board: Options.Temporal must be an http or https URL without user, query and fragment, such as https://temporal.example.com")
	}
	return u, nil
}
