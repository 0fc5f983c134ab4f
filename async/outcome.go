package async

import (
	"context"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Accepted is the accepted outcome of a round. An Accepted contains the
// application's data: do not log it.
type Accepted[T any] struct {
	Result T // set if Failure is nil

	// Failure is the error that the workflow gets. After Fail or Reject it is
	// usually a *temporal.ApplicationError; after ReportCanceled it is a
	// *temporal.CanceledError. Nil means that the outcome is a result.
	Failure error
}

// Outcome returns the accepted outcome of the callback's round. Outcome decodes
// it with the hub's converters and the context of the call. Outcome reads the
// store. To learn whether Temporal has the outcome, open the callback again and
// see Info.
//
// An outcome can be read until it is delivered and the Delivered hook, if there
// is one, has returned nil. With [Options].KeepOutcomes, and after an end
// without delivery, it can be read until the entry is removed. A failure can be
// read only until the next attempt asks.
//
// Outcome returns:
//   - ErrNoOutcome before an outcome is accepted;
//   - ErrOutcomeGone after its content was dropped;
//   - ErrClosed if the activity ended without an outcome;
//   - ErrSuperseded if the round ended without an outcome, and a later round
//     replaced it;
//   - ErrNotFound if no callback has this ID.
func (p Pending[T]) Outcome(ctx context.Context) (Accepted[T], error) {
	a, err := p.outcome(ctx)
	return a, failed("outcome", p.entryID(), err)
}

func (p Pending[T]) outcome(ctx context.Context) (a Accepted[T], err error) {
	if p.hub == nil {
		return a, errZero
	}
	name, err := resultType[T]()
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrTypeMismatch, err)
	}
	e, before, err := p.read(ctx, p.hub.entries)
	if err != nil {
		return a, err
	}
	r := e.rec
	switch {
	case before != nil && len(before.Fingerprint) == 0:
		return a, ErrSuperseded
	case before != nil:
		return a, ErrOutcomeGone // the entry keeps only the fingerprint
	case !lifecycle.Known(r.State):
		return a, errNewer
	case r.Outcome == nil && r.State == record.Closed:
		return a, closedError(r)
	case r.Outcome == nil:
		return a, ErrNoOutcome
	case r.Outcome.Gone:
		return a, ErrOutcomeGone
	}
	o, err := outcome(r)
	if err != nil {
		return a, err
	}
	enc, err := p.hub.encoder.in(ctx)
	if err != nil {
		return a, err
	}
	switch {
	case o.Result == nil:
		a.Failure, err = enc.errorOf(r, o)
	case r.ResultType != name:
		err = &TypeMismatchError{Want: r.ResultType, Got: name}
	default:
		err = enc.decode(r, o.Result, &a.Result)
	}
	return a, err
}

// decode decodes a stored result into the value that v points to. A result
// without a payload leaves the value unchanged.
func (e encoder) decode(r *record.Record, ps *commonpb.Payloads, v any) error {
	if len(ps.GetPayloads()) == 0 {
		return nil
	}
	data, err := e.dataIn(contextOf(r))
	if err != nil {
		return err
	}
	_, err = guarded("the data converter or its codec", func() (struct{}, error) { return struct{}{}, data.FromPayloads(ps, v) })
	return err
}

// errorOf returns the error that the workflow gets for a failure or a
// cancellation.
func (e encoder) errorOf(r *record.Record, o completer.Outcome) (failure, err error) {
	c, err := e.failureIn(contextOf(r))
	if err != nil {
		return nil, err
	}
	f := o.Failure
	if f == nil {
		// The data converter encodes the details of a cancellation.
		data, err := e.dataIn(contextOf(r))
		if err != nil {
			return nil, err
		}
		c = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: data})
		f = &failurepb.Failure{FailureInfo: &failurepb.Failure_CanceledFailureInfo{
			CanceledFailureInfo: &failurepb.CanceledFailureInfo{Details: o.Canceled},
		}}
	}
	return guarded("the failure converter or its codec", func() (error, error) { return c.FailureToError(f), nil })
}
