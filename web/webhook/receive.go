package webhook

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/latchkey-go/latchkey/async"
)

var (
	// ErrIgnore makes Receive ignore a message. Return ErrIgnore from the
	// function that is passed to Receive. The sender gets the same answer as
	// for a message that was processed.
	ErrIgnore = errors.New("webhook: the message is ignored")
	// ErrSignature means that the signature of a message is missing, wrong, too
	// old or from the future.
	ErrSignature = errors.New("webhook: the signature is missing, wrong or too old")
)

// Message describes a message with a valid signature. All fields of a Message
// come from signed content.
type Message struct {
	// ID is the same for each delivery of a message.
	ID string
	// Sent is when the message was sent, or zero if the signature does not
	// cover a time.
	Sent time.Time
}

// Verifier checks the signature of a message. Verifier returns ErrSignature,
// which may be wrapped, for a message to refuse. The signature must cover the
// ID of the Message. A Verifier must be safe for concurrent use.
type Verifier interface {
	Verify(h http.Header, body []byte, now time.Time) (Message, error)
}

// ReceiverOptions configures Receive.
type ReceiverOptions struct {
	// Verifier checks the signatures. Required.
	Verifier Verifier

	// MaxBody is the maximum size of a body, in bytes. MaxBody must be between
	// 1 and 64 MiB. Defaults to 1 MiB.
	MaxBody int64

	// BodyTimeout is how long a body may take to arrive. Defaults to 10 s.
	BodyTimeout time.Duration

	// Wait is how long the function may take. The time covers the store, and
	// then the delivery to Temporal. The function's context ends after Wait. An
	// answer that the store has accepted by then is valid. Defaults to 2 s.
	Wait time.Duration

	// Logger gets a line for each message at debug level, and a warning for
	// each message that was neither accepted nor ignored. Defaults to
	// slog.Default().
	Logger *slog.Logger
}

// Receive returns the handler for a sender that sends all its messages to one
// address, such as a payment provider. f processes a message with a valid
// signature. f usually finds the activity by business key:
//
//	p, err := async.OpenKey[Payment](ctx, hub, order, async.KeyOptions{Namespace: "default", Early: time.Hour})
//	if err == nil {
//		err = p.Complete(ctx, payment)
//	}
//	return err
//
// Such senders repeat a message for days until they get a 2xx. Such senders
// disable an address that answers 410 or 404, or that fails too often. Receive
// therefore answers 204 for nil, ErrIgnore, async.ErrSettled,
// async.ErrSuperseded and async.ErrClosed. A repeat would then change nothing.
// Receive answers 401 for a bad signature, 413 for a body over MaxBody, 405 for
// a method other than POST, and 503 for everything else. Receive never answers
// 404 or 410.
//
// The context of f carries an idempotency key that consists of the message's ID
// and the body's digest (see async.WithIdempotencyKey). The context does not
// end if the sender disconnects. f may be called concurrently, and several
// times for one message.
func Receive(f func(ctx context.Context, m Message, body []byte) error, o ReceiverOptions) (http.Handler, error) {
	if f == nil {
		return nil, errors.New("webhook: Receive needs a function")
	}
	if v := reflect.ValueOf(o.Verifier); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("webhook: ReceiverOptions.Verifier is required")
	}
	maxBody, bodyTimeout, wait, err := bounds("ReceiverOptions", o.MaxBody, o.BodyTimeout, o.Wait)
	if err != nil {
		return nil, err
	}
	return &receiver{f: f, verifier: o.Verifier, maxBody: maxBody, bodyTimeout: bodyTimeout, wait: wait, log: cmp.Or(o.Logger, slog.Default())}, nil
}

type receiver struct {
	f           func(ctx context.Context, m Message, body []byte) error
	verifier    Verifier
	maxBody     int64
	bodyTimeout time.Duration
	wait        time.Duration
	log         *slog.Logger
}

// ServeHTTP answers a message.
func (x *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guard(w.Header())
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		write(w, verdict{nil, http.StatusMethodNotAllowed, "method", false, "Messages are sent with POST."}, nil)
		return
	}
	err := x.receive(w, r)
	v := received(err)
	if level := levelOf(v); x.log.Enabled(r.Context(), level) {
		_, code := Status(err)
		if errors.Is(err, ErrIgnore) {
			code = "ignored"
		}
		x.log.Log(r.Context(), level, "webhook: message", slog.String("code", code), slog.Int("status", v.status))
	}
	switch v.status {
	case http.StatusNoContent:
		w.WriteHeader(http.StatusNoContent)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Signature")
		write(w, v, nil)
	default:
		write(w, v, nil)
	}
}

func levelOf(v verdict) slog.Level {
	if v.status == http.StatusNoContent {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func (x *receiver) receive(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, x.maxBody, x.bodyTimeout)
	if err != nil {
		return err
	}
	m, err := x.verifier.Verify(r.Header, body, time.Now())
	if err != nil {
		return err
	}
	if m.ID == "" {
		m.ID = digest(body)
	}
	ctx, cancel := lasting(r.Context(), x.wait)
	defer cancel()
	return x.f(async.WithIdempotencyKey(ctx, bound(m.ID, body)), m, body)
}

// received returns the response to the sender for a result of the function.
// None of its statuses makes a sender disable the address.
func received(err error) verdict {
	v := verdictOf(err)
	switch {
	case err == nil, errors.Is(err, ErrIgnore):
		v.status = http.StatusNoContent
	case errors.Is(err, async.ErrSettled), errors.Is(err, async.ErrSuperseded), errors.Is(err, async.ErrClosed):
		v.status = http.StatusNoContent
	case v.code == "signature", v.code == "body-too-large":
	default:
		v.status, v.retry, v.detail = http.StatusServiceUnavailable, true, "The message was not processed: send it again."
	}
	return v
}

// digest identifies a body.
func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}
