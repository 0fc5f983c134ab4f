package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
)

// Options configures a Handler.
type Options struct {
	// Types are the result types that the handler accepts. Required.
	Types []answer.Type

	// Keys opens sealed links. With Keys, a callback ID alone opens nothing.
	// Defaults to no keys: the token of an address is then a callback ID.
	Keys *Keys

	// MaxBody is the maximum size of a body, in bytes. MaxBody must be between
	// 1 and 64 MiB. Defaults to 1 MiB.
	MaxBody int64

	// BodyTimeout is how long a body may take to arrive. Defaults to 10 s.
	BodyTimeout time.Duration

	// Wait is how long an answer may take after its body has arrived. The time
	// covers the store, and then the delivery to Temporal. An answer that the
	// store has accepted by then gets 200, and its state has delivered: false.
	// An answer that the store has not accepted by then gets 503. Defaults to 2
	// s.
	Wait time.Duration

	// Origins are the web origins whose pages may call the handler, such as
	// "https://app.example.com". The origin "*" is refused. Defaults to none.
	Origins []string

	// Logger gets warnings about the configuration, and a line for each request
	// at debug level, without tokens and bodies. Defaults to slog.Default().
	Logger *slog.Logger
}

// Handler is the http.Handler of single callbacks. Each callback has an address
// of its own, whose token is a callback ID or a sealed link:
//
//	GET  /{token}            the state
//	POST /{token}/complete   ends the activity with a result
//	POST /{token}/fail       fails the attempt, which is retried
//	POST /{token}/reject     fails the activity for good
//	POST /{token}/cancel     ends the activity as cancelled
//	POST /{token}/heartbeat  reports that work goes on
//
// Mount the handler below a path with http.StripPrefix. GET and HEAD never act.
type Handler struct {
	hub         *async.Hub
	types       map[string]answer.Type
	failure     answer.Type
	details     answer.Type
	keys        *Keys
	maxBody     int64
	bodyTimeout time.Duration
	wait        time.Duration
	origins     []string
	crossOrigin *http.CrossOriginProtection
	log         *slog.Logger
	openAPI     json.RawMessage
}

// New returns a handler, or an error that names the wrong option.
func New(h *async.Hub, o Options) (*Handler, error) {
	if h == nil {
		return nil, errors.New("webhook: the hub is required")
	}
	w := &Handler{
		hub: h, types: make(map[string]answer.Type), origins: slices.Clone(o.Origins),
		crossOrigin: http.NewCrossOriginProtection(), log: o.Logger,
	}
	if len(o.Types) == 0 {
		return nil, errors.New("webhook: Options.Types is required")
	}
	for i, t := range o.Types {
		if t.Name() == "" {
			return nil, fmt.Errorf("webhook: Options.Types[%d] must be made with answer.For, got the zero Type", i)
		}
		if _, twice := w.types[t.Name()]; twice {
			return nil, fmt.Errorf("webhook: Options.Types must have each name once, got %s twice", t.Name())
		}
		w.types[t.Name()] = t
	}
	if o.Keys != nil {
		if err := o.Keys.check(); err != nil {
			return nil, err
		}
		w.keys = &Keys{Keys: maps.Clone(o.Keys.Keys), Active: o.Keys.Active, Used: o.Keys.Used}
	}
	var err error
	if w.maxBody, w.bodyTimeout, w.wait, err = bounds("Options", o.MaxBody, o.BodyTimeout, o.Wait); err != nil {
		return nil, err
	}
	for _, origin := range o.Origins {
		if err := checkOrigin(origin); err != nil {
			return nil, err
		}
		if err := w.crossOrigin.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("webhook: Options.Origins: %w", err)
		}
	}
	if w.log == nil {
		w.log = slog.Default()
	}
	if w.failure, err = answer.For[failure](answer.TypeOptions{}); err != nil {
		return nil, err
	}
	if w.details, err = answer.For[details](answer.TypeOptions{}); err != nil {
		return nil, err
	}
	w.openAPI, err = openAPI(o.Types, w.failure.Schema(), w.details.Schema())
	return w, err
}

// bounds checks the options that Handler and Receive share.
func bounds(options string, maxBody int64, bodyTimeout, wait time.Duration) (int64, time.Duration, time.Duration, error) {
	maxBody = cmp.Or(maxBody, defaultMaxBody)
	bodyTimeout = cmp.Or(bodyTimeout, defaultBodyTimeout)
	wait = cmp.Or(wait, defaultWait)
	switch {
	case maxBody < 1 || maxBody > maxMaxBody:
		return 0, 0, 0, fmt.Errorf("webhook: %s.MaxBody must be between 1 B and %d MiB, got %d B", options, maxMaxBody>>20, maxBody)
	case bodyTimeout < 0:
		return 0, 0, 0, fmt.Errorf("webhook: %s.BodyTimeout must be positive, got %v", options, bodyTimeout)
	case wait < 0:
		return 0, 0, 0, fmt.Errorf("webhook: %s.Wait must be positive, got %v", options, wait)
	}
	return maxBody, bodyTimeout, wait, nil
}

// checkOrigin refuses everything that a browser does not send as an Origin.
func checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != origin ||
		strings.Contains(origin, "*") || strings.ToLower(origin) != origin {
		return fmt.Errorf("webhook: Options.Origins must be exact, such as https://app.example.com, got %q", origin)
	}
	return nil
}

// Link returns the address of a sealed link. base is the address at which the
// handler is mounted, such as "https://example.com/answers". Link needs
// Options.Keys.
func (w *Handler) Link(base string, c Claims) (string, error) {
	if w.keys == nil {
		return "", errors.New("webhook: a link needs Options.Keys")
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", errors.New("webhook: the base of a link must be an http or https URL without user, query and fragment")
	}
	if !c.Expires.IsZero() && !time.Now().Before(c.Expires) {
		return "", fmt.Errorf("webhook: Claims.Expires must be in the future, got %v", c.Expires)
	}
	token, err := w.keys.Seal(c)
	if err != nil {
		return "", err
	}
	return u.JoinPath(token).String(), nil
}

// OpenAPI returns the OpenAPI 3.1 document of the handler, with the schemas of
// its types. The caller must not change the document.
func (w *Handler) OpenAPI() json.RawMessage { return w.openAPI }

// ServeHTTP answers a request.
func (w *Handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	guard(rw.Header())
	token, name, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	a, known := actions[name]
	if token == "" || !known || found && name == "" {
		refuse(rw, async.ErrNotFound)
		return
	}
	w.allowOrigin(rw.Header(), r)
	allowed := []string{a.method, http.MethodOptions}
	if a.method == http.MethodGet {
		allowed = append(allowed, http.MethodHead)
	}
	switch {
	case r.Method == http.MethodOptions:
		rw.Header().Set("Allow", strings.Join(allowed, ", "))
		rw.WriteHeader(http.StatusNoContent)
		return
	case !slices.Contains(allowed, r.Method):
		rw.Header().Set("Allow", strings.Join(allowed, ", "))
		write(rw, verdict{nil, http.StatusMethodNotAllowed, "method", false, "The header Allow names the methods of this address."}, nil)
		return
	case w.crossOrigin.Check(r) != nil:
		write(rw, verdict{nil, http.StatusForbidden, "origin", false, "Pages of this origin may not call this address."}, nil)
		return
	}
	c, key, err := w.open(r.Context(), token, a.allow)
	var done done
	if err == nil {
		done, err = a.do(w, rw, r, c)
	}
	w.logRequest(r, name, key, c, err)
	switch {
	case errors.Is(err, errUnknownType):
		write(rw, verdict{nil, http.StatusServiceUnavailable, "unknown-type", true, "This server doesn't know the type that is awaited: nothing was accepted."}, nil)
	case errors.Is(err, errIdempotencyKey):
		write(rw, verdict{nil, http.StatusBadRequest, "idempotency-key", false, "The header Idempotency-Key must appear once and have at most 255 printable ASCII characters."}, nil)
	case err != nil:
		refuse(rw, err)
	default:
		reply(rw, http.StatusOK, "application/json", stateOf(done.callback.Info(), done.signals))
	}
}

// open finds the callback of a token.
func (w *Handler) open(ctx context.Context, token string, allow Allow) (c async.Callback, key string, err error) {
	id := token
	if w.keys != nil {
		claims, err := w.keys.open(token, time.Now())
		if err != nil {
			return c, claims.Key, err
		}
		if claims.Allow&allow == 0 {
			return c, claims.Key, ErrNotAllowed
		}
		id, key = claims.ID, claims.Key
	}
	ctx, cancel := context.WithTimeout(ctx, w.wait)
	defer cancel()
	c, err = w.hub.Open(ctx, id)
	return c, key, err
}

// allowOrigin answers CORS requests only for the origins in the options.
func (w *Handler) allowOrigin(h http.Header, r *http.Request) {
	if len(w.origins) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	origin, ok := header(r.Header, "Origin")
	if !ok || !slices.Contains(w.origins, origin) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Content-Type, Idempotency-Key")
		h.Set("Access-Control-Max-Age", "600")
	}
}

// logRequest logs a request and its result, without the token.
func (w *Handler) logRequest(r *http.Request, action, key string, c async.Callback, err error) {
	_, code := Status(err)
	level := slog.LevelDebug
	switch {
	case errors.Is(err, errUnknownType):
		code, level = "unknown-type", slog.LevelWarn
	case code == unavailable.code:
		level = slog.LevelWarn
	}
	if !w.log.Enabled(r.Context(), level) {
		return
	}
	args := []any{slog.String("action", cmp.Or(action, "look")), slog.String("code", code), slog.String("callback", c.String())}
	if key != "" {
		args = append(args, slog.String("key", key))
	}
	if level > slog.LevelDebug {
		args = append(args, slog.Any("error", err))
	}
	w.log.Log(r.Context(), level, "webhook: request", args...)
}
