package async

import (
	"context"
	"errors"
	"fmt"
	"hash"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// encoder encodes the application's answers for Temporal. An outcome is encoded
// once, when it is settled. Every process stores and sends the same bytes.
type encoder struct {
	data    converter.DataConverter
	failure converter.FailureConverter
	limit   int // bytes, as encoded
}

// offer is an outcome that will be stored in a record.
type offer struct {
	kind         record.Kind
	resultType   string // of a result
	fingerprint  fingerprint
	attempt      int64 // Started of the only attempt that the outcome is for; 0: any attempt
	nonRetryable bool  // the failure ends the activity
	inSlot       bool  // this hub settles and delivers the outcome in the same slot
	// encode is called only for an activity that waits.
	encode func(r *record.Record, mark string) ([]byte, error)
}

// serializationContext returns the serialization context that the workers use
// for the record's activity. A codec may bind a payload to the serialization
// context.
func serializationContext(r *record.Record) converter.ActivitySerializationContext {
	return converter.ActivitySerializationContext{
		Namespace:    r.Namespace,
		WorkflowID:   r.WorkflowId,
		WorkflowType: r.WorkflowType,
		ActivityType: r.ActivityType,
		TaskQueue:    r.TaskQueue,
	}
}

// result checks the value, and returns its offer.
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
			// Only the application's own converter can encode such a value, so
			// its bytes identify a repeat.
			ps, ownErr := toPayloads(e.data, value)
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
	plain, err := toPayloads(converter.GetDefaultDataConverter(), details...)
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

// failed checks the error, and returns its offer as a failure.
func (e encoder) failed(err error, retryable bool) (offer, error) {
	o := offer{kind: record.Failure}
	switch {
	case err == nil:
		return o, fmt.Errorf("%w: a nil error", ErrInvalidFailure)
	case endless(err):
		return o, fmt.Errorf("%w: the error has more than %d causes, or unwraps to itself", ErrInvalidFailure, maxChain)
	case isResultPending(err):
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
		encode := func(err error) (*failurepb.Failure, error) {
			f, convErr := e.toFailure(contextOf(r), err)
			if convErr != nil {
				return nil, fmt.Errorf("the failure converter or its codec failed, nothing was accepted, try again: %w", convErr)
			}
			f = asApplicationFailure(f, retryable)
			f.Source = completer.FailureSource(mark)
			return f, nil
		}
		f, err := encode(err)
		if err == nil {
			f, err = cutFailure(f, plain, e.limit, encode)
		}
		if err != nil {
			return nil, err
		}
		return marshal(f, ErrInvalidFailure)
	}
	return o, nil
}

// isResultPending calls errors.Is, and the error may have a method Is of its
// own.
func isResultPending(err error) bool {
	is, guardErr := guarded("the error", func() (bool, error) { return errors.Is(err, activity.ErrResultPending), nil })
	return is && guardErr == nil
}

// in returns the encoder for one call. Converters that implement ContextAware
// get the context of the call, as in the SDK's own client. The SDK has such an
// interface only for data converters. The WithContext method of a failure
// converter returns a failure converter.
func (e encoder) in(ctx context.Context) (encoder, error) {
	data, err := guarded("the data converter's WithContext", func() (converter.DataConverter, error) {
		if aware, is := e.data.(workflow.ContextAware); is {
			return nonNil(aware.WithContext(ctx))
		}
		return e.data, nil
	})
	if err != nil {
		return e, fmt.Errorf("nothing was accepted: %w", err)
	}
	failure, err := guarded("the failure converter's WithContext", func() (converter.FailureConverter, error) {
		switch aware := e.failure.(type) {
		case interface {
			WithContext(ctx context.Context) converter.FailureConverter
		}:
			return nonNil(aware.WithContext(ctx))
		case workflow.ContextAware: // one type converts both values and failures
			if both, is := aware.WithContext(ctx).(converter.FailureConverter); is {
				return nonNil(both)
			}
		}
		return e.failure, nil
	})
	if err != nil {
		return e, fmt.Errorf("nothing was accepted: %w", err)
	}
	e.data, e.failure = data, failure
	return e, nil
}

func nonNil[T any](c T) (T, error) {
	if isNilInterface(c) {
		return c, errors.New("a converter's WithContext returned nil")
	}
	return c, nil
}

// contextOf returns the serialization context for a record's values. An early
// answer has none, because it has no activity yet.
func contextOf(r *record.Record) *converter.ActivitySerializationContext {
	if r.Early {
		return nil
	}
	return new(serializationContext(r))
}

func (e encoder) payloads(r *record.Record, values ...any) (*commonpb.Payloads, error) {
	data, err := e.dataIn(contextOf(r))
	if err != nil {
		return nil, err
	}
	return toPayloads(data, values...)
}

// dataIn returns the data converter for a serialization context, if there is
// one.
func (e encoder) dataIn(c *converter.ActivitySerializationContext) (converter.DataConverter, error) {
	if c == nil {
		return e.data, nil
	}
	return guarded("the data converter's WithSerializationContext", func() (converter.DataConverter, error) {
		return converter.WithDataConverterSerializationContext(e.data, *c), nil
	})
}

func (e encoder) failureIn(c *converter.ActivitySerializationContext) (converter.FailureConverter, error) {
	if c == nil {
		return e.failure, nil
	}
	return guarded("the failure converter's WithSerializationContext", func() (converter.FailureConverter, error) {
		return converter.WithFailureConverterSerializationContext(e.failure, *c), nil
	})
}

// toPayloads converts each value to one payload. If a converter made no
// payload, the workflow would read a zero value.
func toPayloads(data converter.DataConverter, values ...any) (*commonpb.Payloads, error) {
	ps, err := guarded("the data converter or its codec", func() (*commonpb.Payloads, error) { return data.ToPayloads(values...) })
	if err == nil && len(ps.GetPayloads()) != len(values) {
		err = fmt.Errorf("it made %d payloads of %d values", len(ps.GetPayloads()), len(values))
	}
	return ps, err
}

// details encodes heartbeat details for the raw gRPC call. External storage is
// not used, and the size is limited to Temporal's own limit.
func (e encoder) details(r *record.Record, values []any) ([]byte, error) {
	ps, err := e.payloads(r, values...)
	if err != nil {
		return nil, fmt.Errorf("the data converter or its codec failed, the heartbeat was not taken: %w", err)
	}
	if size, limit := proto.Size(ps), min(e.limit, defaultBlobLimit); size > limit {
		return nil, fmt.Errorf("%w: the details have %d bytes as encoded, over %d: Temporal would fail the activity for them; the heartbeat was not taken",
			ErrTooLarge, size, limit)
	}
	return marshal(ps, ErrInvalidResult)
}

// within measures the encoded size as the server does, after all codecs.
func (e encoder) within(ps *commonpb.Payloads, what string) ([]byte, error) {
	if size := proto.Size(ps); size > e.limit {
		return nil, fmt.Errorf("%w: %s has %d bytes as encoded, over %d: nothing was accepted, the activity still waits",
			ErrTooLarge, what, size, e.limit)
	}
	return marshal(ps, ErrInvalidResult)
}

// marshal encodes a message and decodes it again. A message that cannot be
// decoded could never be delivered.
func marshal[M proto.Message](m M, invalid error) ([]byte, error) {
	b, err := proto.Marshal(m)
	if err == nil {
		err = proto.Unmarshal(b, m.ProtoReflect().New().Interface())
	}
	if err != nil {
		// An error of protobuf can contain the bytes that it read.
		return nil, fmt.Errorf("%w: what the converter made can't be encoded and read again as protobuf", invalid)
	}
	return b, nil
}
