package async

import (
	"context"
	"fmt"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Pending is a [Callback] whose activity awaits a T. Only a Pending can
// complete the activity, so an outcome of another type never reaches Temporal.
//
// The zero Pending returns ErrNotFound from every method.
type Pending[T any] struct{ Callback }

// Open returns the activity with this callback ID. Open returns a
// [*TypeMismatchError] if the activity does not await a T, and ErrNotFound if
// the ID is unknown. Open also opens an activity that is over: Info reports
// that the activity is over, and a repeat of the final outcome returns nil.
func Open[T any](ctx context.Context, h *Hub, id string) (Pending[T], error) {
	callback, ok := record.ParseCallbackID(id)
	p, err := open[T](ctx, h, callback, ok)
	return p, failed("open", callback.EntryID(), err)
}

func open[T any](ctx context.Context, h *Hub, id record.CallbackID, ok bool) (Pending[T], error) {
	name, err := resultType[T]()
	if err != nil {
		return Pending[T]{}, fmt.Errorf("%w: %w", ErrTypeMismatch, err)
	}
	c, err := h.open(ctx, id, ok)
	if err != nil {
		return Pending[T]{}, err
	}
	// An answer to an earlier round is only compared with that round's outcome.
	// Its type does not matter.
	if current, _ := id.RoundOf(c.entry.rec); current && c.entry.rec.ResultType != name {
		return Pending[T]{}, &TypeMismatchError{Want: c.entry.rec.ResultType, Got: name}
	}
	return Pending[T]{c}, nil
}

// Complete ends the activity with this result.
//
// Nil means that the store has the result and that a hub will deliver it to
// Temporal. In most cases, the result has been delivered when Complete returns.
// On a durable store the result survives the end of every process. The same
// result again returns nil and changes nothing, also after the activity has
// ended.
//
// The following errors are definite; retrying with the same value gives the
// same error:
//
//   - ErrInvalidResult (a nil pointer, a failed Validate method, a value that
//     cannot be encoded), ErrTooLarge and ErrTypeMismatch: the value was
//     refused, and the activity still waits.
//   - ErrSettled: another outcome was accepted before.
//   - ErrSuperseded: this round is over, and another one waits.
//   - ErrClosed: the activity is over without this result.
//   - ErrNotFound: no callback has this ID.
//
// Any other error leaves the outcome unknown; retry with the same value.
//
// Two results are the same if their encoded values are equal. If the sender can
// repeat a message, do not add the current time or a random number to the
// result: the repeat would get ErrSettled. If you must add such a value, pass
// the message's ID with [WithIdempotencyKey]. Results with the same idempotency
// key count as the same.
//
// If cancellation was requested (see [Info].CancelRequested), the workflow may
// no longer be waiting for this result. Temporal still accepts the result, and
// Complete returns nil.
func (p Pending[T]) Complete(ctx context.Context, result T) error {
	return failed("complete", p.entryID(), p.complete(ctx, result))
}

func (p Pending[T]) complete(ctx context.Context, result T) error {
	if p.hub == nil {
		return errZero
	}
	o, err := p.offer(ctx, result)
	if err != nil {
		return p.hub.deliverer.refuse(ctx, p.handle, record.Result, err)
	}
	return p.hub.deliverer.settle(ctx, p.handle, o)
}

// offer checks a result, and returns its offer.
func (p Pending[T]) offer(ctx context.Context, result T) (offer, error) {
	name, err := resultType[T]()
	if err != nil {
		return offer{}, fmt.Errorf("%w: %w", ErrTypeMismatch, err)
	}
	enc, err := p.hub.encoder.in(ctx)
	if err != nil {
		return offer{}, err
	}
	o, err := enc.result(name, result)
	if err == nil {
		err = validate(result, &result)
	}
	return o, err
}

// validate calls a Validate method of the value, or of a pointer to it.
func validate(forms ...any) error {
	for _, form := range forms {
		if v, ok := form.(interface{ Validate() error }); ok {
			if _, err := guarded("the result's Validate method", func() (struct{}, error) { return struct{}{}, v.Validate() }); err != nil {
				return fmt.Errorf("%w: %w", ErrInvalidResult, err)
			}
			break
		}
	}
	return nil
}
