package async

import (
	"errors"
	"fmt"
	"hash"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// encoder turns what an application answers into what Temporal gets. It
// encodes once, when an outcome settles: the bytes are stored and sent as they
// are, by whichever process.
type encoder struct {
	data    converter.DataConverter
	failure converter.FailureConverter
	limit   int // bytes, as encoded
}

// offer is an outcome on its way into a record.
type offer struct {
	kind         record.Kind
	resultType   string // of a result
	fingerprint  fingerprint
	attempt      int64 // Started of the only one that it is about; 0: whichever waits
	nonRetryable bool  // a failure that ends the activity
	inSlot       bool  // this hub settles it in a slot, in which it delivers too
	// encode is called only for an activity that waits.
	encode func(r *record.Record, mark string) ([]byte, error)
}

// serializationContext is what the workers use for the same activity. A codec may bind a
// payload to it.
func serializationContext(r *record.Record) converter.ActivitySerializationContext {
	return converter.ActivitySerializationContext{
		Namespace:    r.Namespace,
		WorkflowID:   r.WorkflowId,
		WorkflowType: r.WorkflowType,
		ActivityType: r.ActivityType,
		TaskQueue:    r.TaskQueue,
	}
}

// result checks the value, and returns the offer of it.
func (e encoder) result(resultType string, value any) (offer, error) {
	o := offer{kind: record.Result, resultType: resultType}
	_, none := value.(None)
	if isNil(value) {
		return o, fmt.Errorf("%w: a nil %T, which the workflow would read as a zero value", ErrInvalidResult, value)
	}
	var plain []byte
	if !none {
		var err error
		if plain, err = plainEncode(value); err != nil {
			// Nobody but the application's own converter encodes such a value,
			// so that its bytes are what a repeat is known by.
			ps, ownErr := e.data.ToPayloads(value)
			if ownErr != nil {
				return o, fmt.Errorf("%w: %T can't be encoded: %w", ErrInvalidResult, value, ownErr)
			}
			deterministic := proto.MarshalOptions{Deterministic: true}
			if plain, err = deterministic.Marshal(ps); err != nil {
				return o, err
			}
		}
	}
	o.fingerprint = fingerprintOf(o.kind, func(h hash.Hash) {
		writeField(h, []byte(resultType))
		writeField(h, plain)
	})
	o.encode = func(r *record.Record, _ string) ([]byte, error) {
		ps := new(commonpb.Payloads)
		if !none {
			var err error
			if ps, err = e.payloads(r, value); err != nil {
				return nil, fmt.Errorf("the data converter or its codec failed, nothing was accepted, try again: %w", err)
			}
		}
		return e.within(ps, "the result")
	}
	return o, nil
}

// cancellation returns the offer of a cancellation with these details.
func (e encoder) cancellation(details []any) (offer, error) {
	o := offer{kind: record.Cancellation}
	plain, err := converter.GetDefaultDataConverter().ToPayloads(details...)
	if err != nil {
		return o, fmt.Errorf("%w: the details can't be encoded: %w", ErrInvalidResult, err)
	}
	o.fingerprint = fingerprintOf(o.kind, func(h hash.Hash) { writePayloads(h, plain) })
	o.encode = func(r *record.Record, _ string) ([]byte, error) {
		ps := new(commonpb.Payloads)
		if len(details) > 0 {
			var err error
			if ps, err = e.payloads(r, details...); err != nil {
				return nil, fmt.Errorf("the data converter or its codec failed, nothing was accepted, try again: %w", err)
			}
		}
		return e.within(ps, "the details")
	}
	return o, nil
}

// failed checks the error, and returns the offer of it as a failure.
func (e encoder) failed(err error, retryable bool) (offer, error) {
	o := offer{kind: record.Failure}
	switch {
	case err == nil:
		return o, fmt.Errorf("%w: a nil error", ErrInvalidFailure)
	case errors.Is(err, activity.ErrResultPending):
		return o, fmt.Errorf("%w: activity.ErrResultPending is no outcome, and Temporal's client would do nothing with it", ErrInvalidFailure)
	}
	plain, convErr := toFailure(temporal.GetDefaultFailureConverter(), err)
	if convErr != nil {
		return o, fmt.Errorf("%w: its details can't be encoded: %w", ErrInvalidFailure, convErr)
	}
	plain = asApplicationFailure(plain, retryable)
	o.nonRetryable = plain.GetApplicationFailureInfo().GetNonRetryable()
	o.fingerprint = fingerprintOf(o.kind, func(h hash.Hash) { writeFailure(h, plain) })
	o.encode = func(r *record.Record, mark string) ([]byte, error) {
		c := e.failureOf(r)
		encode := func(err error) (*failurepb.Failure, error) {
			f, convErr := toFailure(c, err)
			if convErr != nil {
				return nil, fmt.Errorf("the failure converter or its codec failed, nothing was accepted, try again: %w", convErr)
			}
			f = asApplicationFailure(f, retryable)
			f.Source = failureSource(mark)
			return f, nil
		}
		f, err := encode(err)
		if err == nil {
			f, err = cutFailure(f, plain, e.limit, encode)
		}
		if err != nil {
			return nil, err
		}
		return proto.Marshal(f)
	}
	return o, nil
}

func (e encoder) payloads(r *record.Record, values ...any) (*commonpb.Payloads, error) {
	return e.dataOf(r).ToPayloads(values...)
}

// dataOf returns the converter in the record's context. An early answer has no
// activity yet, and so no context.
func (e encoder) dataOf(r *record.Record) converter.DataConverter {
	if r.Early {
		return e.data
	}
	return converter.WithDataConverterSerializationContext(e.data, serializationContext(r))
}

func (e encoder) failureOf(r *record.Record) converter.FailureConverter {
	if r.Early {
		return e.failure
	}
	return converter.WithFailureConverterSerializationContext(e.failure, serializationContext(r))
}

// details encodes what a heartbeat says, for the raw call: external storage
// has no part in it, and no more than Temporal's own limit passes.
func (e encoder) details(r *record.Record, values []any) ([]byte, error) {
	ps, err := e.payloads(r, values...)
	if err != nil {
		return nil, fmt.Errorf("the data converter or its codec failed, the heartbeat was not taken: %w", err)
	}
	if size, limit := proto.Size(ps), min(e.limit, defaultBlobLimit); size > limit {
		return nil, fmt.Errorf("%w: the details have %d bytes as encoded, over %d: Temporal would fail the activity for them; the heartbeat was not taken",
			ErrTooLarge, size, limit)
	}
	return proto.Marshal(ps)
}

// within measures as the server does, after all codecs.
func (e encoder) within(ps *commonpb.Payloads, what string) ([]byte, error) {
	if size := proto.Size(ps); size > e.limit {
		return nil, fmt.Errorf("%w: %s has %d bytes as encoded, over %d: nothing was accepted, the activity still waits",
			ErrTooLarge, what, size, e.limit)
	}
	return proto.Marshal(ps)
}
