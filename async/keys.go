package async

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// maxKey is the maximum length of a business key, in bytes.
const maxKey = 1 << 10

// KeyOptions configures [OpenKey].
type KeyOptions struct {
	// Namespace is the namespace of the activity. Required.
	Namespace string

	// Early is how long the store keeps a result for an activity that does not
	// wait yet. Defaults to 0, which stores none: OpenKey then returns
	// ErrNotFound before the activity exists.
	Early time.Duration
}

// keyed contains the parameters with which a callback was opened by key.
type keyed struct {
	key        string
	options    KeyOptions
	resultType string
}

// OpenKey opens the activity that has this business key. OpenKey returns a
// [*TypeMismatchError] if the activity does not await a T, and ErrNotFound if
// no activity has the key.
//
// A key does not identify a round: each method acts on the current round at the
// time of the call. A repeat of an answer to an earlier round is therefore an
// answer to the current one, unless both carry an idempotency key
// ([WithIdempotencyKey]).
//
// With Early set, OpenKey also succeeds before the activity exists. Complete
// then stores the result. Start delivers the result later and does not run its
// function. Fail, Reject and ReportCanceled need an activity. If no activity
// arrives in time, the Over hook gets ErrExpired.
func OpenKey[T any](ctx context.Context, h *Hub, key string, o KeyOptions) (Pending[T], error) {
	name, err := resultType[T]()
	if err != nil {
		return Pending[T]{}, failed("open key", "", fmt.Errorf("%w: %w", ErrTypeMismatch, err))
	}
	c, err := h.openKey(ctx, &keyed{key: key, options: o, resultType: name})
	if err != nil {
		return Pending[T]{}, failed("open key", "", err)
	}
	return Pending[T]{c}, nil
}

func (h *Hub) openKey(ctx context.Context, k *keyed) (Callback, error) {
	if h == nil {
		return Callback{}, fmt.Errorf("%w: a nil hub", ErrNotFound)
	}
	if k.key == "" {
		return Callback{}, fmt.Errorf("%w: the key is empty", ErrInvalidArgument)
	}
	if err := checkKey(k.key); err != nil {
		return Callback{}, err
	}
	if k.options.Namespace == "" || !utf8.ValidString(k.options.Namespace) || k.options.Early < 0 {
		return Callback{}, fmt.Errorf("%w: KeyOptions.Namespace is required, in UTF-8, and Early must not be below zero", ErrInvalidArgument)
	}
	c := Callback{h, handle{key: k, entry: entry{id: record.KeyedEntryID(k.options.Namespace, k.key)}}}
	e, err := h.entries.load(ctx, c.entry.id)
	switch {
	case errors.Is(err, store.ErrNotFound) && k.options.Early > 0:
		return c, nil
	case errors.Is(err, store.ErrNotFound):
		return Callback{}, fmt.Errorf("%w: no activity has this key now", ErrNotFound)
	case err != nil:
		return Callback{}, err
	case e.rec.ResultType != k.resultType:
		return Callback{}, &TypeMismatchError{Want: e.rec.ResultType, Got: k.resultType}
	}
	c.entry, c.id = e, new(e.callbackID())
	return c, nil
}

func checkKey(key string) error {
	if len(key) > maxKey || !utf8.ValidString(key) {
		return fmt.Errorf("%w: a key must be at most %d bytes of UTF-8, got %d bytes", ErrInvalidArgument, maxKey, len(key))
	}
	return nil
}

// early returns the entry of an answer that arrives before its activity.
func (k *keyed) early(id string, now time.Time) entry {
	return entry{id: id, rec: &record.Record{
		Namespace: k.options.Namespace, Key: k.key, Early: true, ResultType: k.resultType,
		State: record.Waiting, Secret: record.NewSecret(), Created: now.UnixNano(),
	}}
}

type idempotencyKey struct{}

// WithIdempotencyKey returns a context that carries an idempotency key. Two
// outcomes of the same kind and with the same key count as the same answer,
// whatever their values: the second is accepted as a repeat. With a callback
// that was opened by business key, the idempotency key also distinguishes the
// repeat of an answer to an earlier round from an answer to the current round.
// An idempotency key has at most 1 KiB.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// idempotencyKeyOf returns the idempotency key in the context, if there is one.
func idempotencyKeyOf(ctx context.Context) (string, error) {
	key, _ := ctx.Value(idempotencyKey{}).(string)
	if err := checkKey(key); err != nil {
		return "", fmt.Errorf("the idempotency key: %w", err)
	}
	return key, nil
}
