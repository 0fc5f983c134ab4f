package board

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

var (
	errNoPage     = errors.New("board: no such page")
	errMethod     = errors.New("board: the method is not allowed")
	errOrigin     = errors.New("board: the request comes from a page of another site")
	errMedia      = errors.New("board: the media type is not accepted")
	errForm       = errors.New("board: the form has an unknown or repeated field")
	errMessage    = errors.New("board: a message is required")
	errBulkAction = errors.New("board: the action is not one for several entries")
	errBulkRows   = errors.New("board: no rows are ticked, or more than 100")
)

// problem is an RFC 9457 problem document, and the content of an error page.
type problem struct {
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Detail string        `json:"detail"`
	Code   string        `json:"code" jsonschema:"stable: programs may depend on it"`
	Retry  bool          `json:"retry" jsonschema:"whether the same request may succeed later"`
	Errors []bodyProblem `json:"errors,omitempty"`
}

type bodyProblem struct {
	Pointer string `json:"pointer" jsonschema:"RFC 6901, into the result or the body"`
	Detail  string `json:"detail"`
}

// verdicts are the board's own errors, and errors whose meaning for operators
// differs from that in webhook.Status. webhook.Status has all other errors.
var verdicts = []struct {
	err    error
	status int
	code   string
	retry  bool
	detail string
}{
	{ErrSignIn, http.StatusUnauthorized, "sign-in", false, "Sign in, or send a valid token."},
	{errForbidden, http.StatusForbidden, "forbidden", false, "You may not do this."},
	{errNameless, http.StatusForbidden, "nameless", false, "The board does not know your name, so it cannot record what you do. Ask its administrator to correct Options.Authorize."},
	{errNoPage, http.StatusNotFound, "no-page", false, "The board has no such page."},
	{errMethod, http.StatusMethodNotAllowed, "method", false, "The header Allow names the methods of this address."},
	{errOrigin, http.StatusForbidden, "origin", false, "Pages of other sites may not act on this board."},
	{errMedia, http.StatusUnsupportedMediaType, "media-type", false, "The body must be application/json or a form, named once in the header Content-Type."},
	{errForm, http.StatusBadRequest, "form", false, "The form has a field that is unknown here or appears twice, or is damaged."},
	{errMessage, http.StatusUnprocessableEntity, "message", false, "A message is required: it says what went wrong."},
	{errBulkAction, http.StatusUnprocessableEntity, "action", false, "The action for several entries must be retry or abandon."},
	{errBulkRows, http.StatusUnprocessableEntity, "rows", false, "Between 1 and 100 entries must be chosen."},
	{errWhy, http.StatusUnprocessableEntity, "why", false, "A reason is required, of at most 1,000 characters."},
	{errRound, http.StatusConflict, "round", false, "The activity has asked again since you looked. Look at the entry again; nothing was changed."},
	{errUnknownType, http.StatusUnprocessableEntity, "unknown-type", false, "This board does not know the result type that is awaited, so it cannot check an answer. Add the type to Options.Types. The entry can be failed or rejected."},
	{errAudit, http.StatusServiceUnavailable, "audit", true, "The audit did not take the action, so it was not performed."},
	{errEarly, http.StatusConflict, "early", false, "The result came before its activity, so there is nothing to retry. The activity delivers it when it starts."},
	{async.ErrNoOutcome, http.StatusConflict, "no-outcome", false, "The entry waits for an answer, so there is nothing to retry."},
	{async.ErrNotFound, http.StatusNotFound, "not-found", false, "There is no such entry, or its retention is over, or you may not view it."},
	{async.ErrSettled, http.StatusConflict, "settled", false, "Another outcome was accepted before this one."},
	{async.ErrSuperseded, http.StatusConflict, "superseded", false, "The round is over, and the activity has asked again. Look at the entry again; nothing was changed."},
	{async.ErrClosed, http.StatusGone, "closed", false, "The activity is over."},
	{async.ErrInvalidArgument, http.StatusBadRequest, "invalid-argument", false, "A parameter of the address is out of range."},
	{errors.ErrUnsupported, http.StatusNotImplemented, "no-pages", false, "The store has too many entries to list without pages. Redis has pages if the store was created with Options.Pages."},
	{store.ErrCorrupt, http.StatusInternalServerError, "unreadable", false, "The entry is damaged. It is left as it is; see the log of the hubs."},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "unavailable", true, "The store did not answer in time. If this was an action, it may have been performed; repeat it."},
}

// problemOf returns the meaning of an error for an operator.
func problemOf(err error) problem {
	if f, ok := errors.AsType[*badFilter](err); ok {
		return problem{Title: http.StatusText(http.StatusBadRequest), Status: http.StatusBadRequest, Detail: f.detail, Code: "filter"}
	}
	for _, v := range verdicts {
		if errors.Is(err, v.err) {
			return problem{Title: http.StatusText(v.status), Status: v.status, Detail: v.detail, Code: v.code, Retry: v.retry}
		}
	}
	status, code := webhook.Status(err)
	p := problem{Title: http.StatusText(status), Status: status, Code: code, Retry: status == http.StatusServiceUnavailable || status == http.StatusRequestTimeout}
	for _, e := range answer.Invalids(err) {
		p.Errors = append(p.Errors, bodyProblem{e.Pointer, e.Detail})
	}
	p.Detail = cmp.Or(details[code], "The request was refused.")
	return p
}

// details contains texts by the codes of webhook.Status.
var details = map[string]string{
	"unavailable":    "The store could not be read or written now, or a newer release wrote the entry. See the log. If this was an action, it may have been performed; repeat it.",
	"invalid":        "The body was refused, and nothing was accepted.",
	"too-large":      "The value is larger than Temporal takes, and the activity still waits.",
	"body-too-large": "The body is larger than is accepted here.",
	"slow-body":      "The body did not arrive in time.",
	"type-mismatch":  "The activity awaits a result of another type.",
	"key-in-use":     "Another activity has this business key.",
}

// refuse answers with an error.
func (b *Board) refuse(x *exchange, err error) {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		b.log.WarnContext(x.r.Context(), "board: request failed", "code", p.Code, "error", err)
	}
	if p.Status == http.StatusServiceUnavailable {
		x.w.Header().Set("Retry-After", "5")
	}
	if p.Status == http.StatusUnauthorized && x.json {
		x.w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if x.json {
		body, err := json.Marshal(p)
		if err != nil {
			p.Status, body = http.StatusInternalServerError, nil
		}
		x.reply(p.Status, "application/problem+json", body)
		return
	}
	b.showProblem(x, p)
}

// replyJSON answers with a value.
func (x *exchange) replyJSON(status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // cannot fail, because it consists of strings, numbers and times
		status, body = http.StatusInternalServerError, nil
	}
	x.reply(status, "application/json", body)
}

func (x *exchange) reply(status int, mediaType string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Vary", "Accept")
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // the caller may be gone
}

// guarding contains the headers of every response. The slices are shared, and
// have no room to append to.
var guarding = http.Header{
	"Cache-Control":           {"no-store"},
	"Content-Security-Policy": {"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
	"Referrer-Policy":         {"same-origin"}, // with no-referrer, a form's POST has no Origin
	"X-Content-Type-Options":  {"nosniff"},
	"X-Frame-Options":         {"DENY"},
	"X-Robots-Tag":            {"noindex, nofollow"},
}

// wantsJSON reports whether a request prefers JSON to a page.
func wantsJSON(r *http.Request) bool {
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); r.Method == http.MethodPost && strings.EqualFold(strings.TrimSpace(media), "application/json") {
		return true
	}
	best := map[bool]float64{}
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		media, params, _ := strings.Cut(part, ";")
		media = strings.ToLower(strings.TrimSpace(media))
		isJSON := media == "application/json" || media == "application/problem+json"
		if !isJSON && media != "text/html" {
			continue
		}
		q := 1.0
		for param := range strings.SplitSeq(params, ";") {
			if name, value, ok := strings.Cut(strings.TrimSpace(param), "="); ok && strings.EqualFold(name, "q") {
				if n, err := strconv.ParseFloat(value, 64); err == nil {
					q = n
				}
			}
		}
		best[isJSON] = max(best[isJSON], q)
	}
	return best[true] > 0 && best[true] >= best[false]
}
