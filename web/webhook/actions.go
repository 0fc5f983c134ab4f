package webhook

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
)

// action is the action of a route.
type action struct {
	method string
	allow  Allow
	do     func(w *Handler, rw http.ResponseWriter, r *http.Request, c async.Callback) (done, error)
}

// done is the result of an action.
type done struct {
	callback async.Callback // the callback after the action
	signals  []string       // the signals that a heartbeat returned, or nil
}

var actions = map[string]action{
	"":          {http.MethodGet, Look, (*Handler).look},
	"complete":  {http.MethodPost, Complete, (*Handler).complete},
	"fail":      {http.MethodPost, Fail, (*Handler).fail},
	"reject":    {http.MethodPost, Fail, (*Handler).reject},
	"cancel":    {http.MethodPost, Cancel, (*Handler).cancel},
	"heartbeat": {http.MethodPost, Heartbeat, (*Handler).heartbeat},
}

// failure is the body of fail and reject.
type failure struct {
	Message string `json:"message" jsonschema:"what went wrong"`
	Type    string `json:"type,omitempty" jsonschema:"the type of Temporal's application failure"`
	Details any    `json:"details,omitempty" jsonschema:"what the workflow may read"`
}

// Validate refuses a failure without a message.
func (f failure) Validate() error {
	if f.Message == "" {
		return errors.New("a message is required")
	}
	return nil
}

// details is the body of cancel and heartbeat.
type details struct {
	Details any `json:"details,omitempty" jsonschema:"what the workflow or the next attempt may read"`
}

var errUnknownType = errors.New("webhook: no type of Options.Types has the name of the type that the activity awaits")

func (w *Handler) look(_ http.ResponseWriter, _ *http.Request, c async.Callback) (done, error) {
	return done{callback: c}, nil
}

func (w *Handler) complete(rw http.ResponseWriter, r *http.Request, c async.Callback) (done, error) {
	name := c.Info().ResultType
	t, ok := w.types[name]
	if !ok {
		return done{}, fmt.Errorf("%w: %q", errUnknownType, name)
	}
	body, err := readBody(rw, r, w.maxBody, w.bodyTimeout)
	if err != nil {
		return done{}, err
	}
	return w.settle(r, c, body, func(ctx context.Context) error {
		mediaType, _ := header(r.Header, "Content-Type")
		return t.Complete(ctx, c, mediaType, body)
	})
}

func (w *Handler) fail(rw http.ResponseWriter, r *http.Request, c async.Callback) (done, error) {
	return w.failed(rw, r, c, c.Fail)
}

func (w *Handler) reject(rw http.ResponseWriter, r *http.Request, c async.Callback) (done, error) {
	return w.failed(rw, r, c, c.Reject)
}

func (w *Handler) failed(rw http.ResponseWriter, r *http.Request, c async.Callback, report func(context.Context, error) error) (done, error) {
	v, body, err := w.read(rw, r, w.failure, false)
	if err != nil {
		return done{}, err
	}
	f := v.(failure)
	o := temporal.ApplicationErrorOptions{}
	if f.Details != nil {
		o.Details = []any{f.Details}
	}
	return w.settle(r, c, body, func(ctx context.Context) error {
		return report(ctx, temporal.NewApplicationErrorWithOptions(f.Message, f.Type, o))
	})
}

func (w *Handler) cancel(rw http.ResponseWriter, r *http.Request, c async.Callback) (done, error) {
	v, body, err := w.read(rw, r, w.details, true)
	if err != nil {
		return done{}, err
	}
	return w.settle(r, c, body, func(ctx context.Context) error {
		return c.ReportCanceled(ctx, v.(details).list()...)
	})
}

func (w *Handler) heartbeat(rw http.ResponseWriter, r *http.Request, c async.Callback) (done, error) {
	v, _, err := w.read(rw, r, w.details, true)
	if err != nil {
		return done{}, err
	}
	ctx, cancel := lasting(r.Context(), w.wait)
	defer cancel()
	err = c.Heartbeat(ctx, v.(details).list()...)
	if verdictOf(err).status == http.StatusOK {
		return done{c, signals(err)}, nil
	}
	return done{}, err
}

func (d details) list() []any {
	if d.Details == nil {
		return nil
	}
	return []any{d.Details}
}

// read reads the body of an action other than complete. If an optional body is
// missing, the media type must be missing too, so that an empty form is
// refused.
func (w *Handler) read(rw http.ResponseWriter, r *http.Request, t answer.Type, optional bool) (v any, body []byte, err error) {
	if body, err = readBody(rw, r, w.maxBody, w.bodyTimeout); err != nil {
		return nil, nil, err
	}
	mediaType, _ := header(r.Header, "Content-Type")
	if name, _, _ := mime.ParseMediaType(mediaType); optional && len(body) == 0 && (mediaType == "" || name == "application/json") {
		return details{}, nil, nil
	}
	v, err = t.Decode(mediaType, body)
	return v, body, err
}

// settle gives an answer, with the sender's idempotency key.
func (w *Handler) settle(r *http.Request, c async.Callback, body []byte, answer func(ctx context.Context) error) (done, error) {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return done{}, err
	}
	ctx, cancel := lasting(r.Context(), w.wait)
	defer cancel()
	if key != "" {
		ctx = async.WithIdempotencyKey(ctx, bound(key, body))
	}
	latest := c
	err = answer(async.WithLatest(ctx, &latest))
	return done{callback: latest}, err
}

// state is the body of a response with status 200.
type state struct {
	State     string     `json:"state"`
	Outcome   string     `json:"outcome,omitempty"`
	Delivered *bool      `json:"delivered,omitempty"`
	Settled   *time.Time `json:"settled,omitempty"`
	Deadline  *time.Time `json:"deadline,omitempty"`
	End       string     `json:"end,omitempty"`
	Type      string     `json:"type,omitempty"`
	Signals   []string   `json:"signals"`
}

func stateOf(i async.Info, known []string) state {
	s := state{State: i.State.String(), Outcome: i.Outcome, Settled: when(i.Settled), Deadline: when(i.Deadline), Type: i.ResultType, Signals: known}
	if i.Outcome != "" {
		s.Delivered = new(i.Delivered)
	}
	switch {
	case i.End == nil:
	case errors.Is(i.End, async.ErrExpired):
		s.End = "expired"
	case errors.Is(i.End, async.ErrUnknownEnd):
		s.End = "unknown"
	case errors.Is(i.End, async.ErrAbandoned):
		s.End = "abandoned"
	default:
		s.End = "over"
	}
	if known == nil {
		s.Signals = []string{}
		for name, stands := range map[string]bool{"cancel-requested": i.CancelRequested, "paused": i.Paused, "reset": i.Reset} {
			if stands {
				s.Signals = append(s.Signals, name)
			}
		}
	}
	return s
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}
