package async

import (
	"errors"
	"fmt"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

var errUnreadable = fmt.Errorf("%w: the outcome can't be read", store.ErrCorrupt)

// rebind encodes stored payloads anew that a codec may have bound to one
// activity, for another. Values are not converted, only what lies around them.
func rebind(stored []byte, from, to converter.DataConverter) ([]byte, error) {
	ps := new(commonpb.Payloads)
	if proto.Unmarshal(stored, ps) != nil {
		return nil, errUnreadable
	}
	for i, p := range ps.Payloads {
		var raw converter.RawValue
		if err := from.FromPayload(p, &raw); err != nil {
			return nil, err
		}
		var err error
		if ps.Payloads[i], err = to.ToPayload(raw); err != nil {
			return nil, err
		}
	}
	return proto.Marshal(ps)
}

// undecoded stands in for a message that is encoded. The SDK's converter leaves
// what is there where the codec fails, and says nothing.
const undecoded = "async: this message could not be decoded"

// rebindFailure does it for a failure, by a converter that knows contexts. The
// SDK's own doesn't.
func rebindFailure(o *record.Outcome, from, to converter.FailureConverter) error {
	f := new(failurepb.Failure)
	if proto.Unmarshal(o.Payload, f) != nil {
		return errUnreadable
	}
	decoded := proto.CloneOf(f)
	for _, c := range causes(decoded) {
		if c.GetEncodedAttributes() != nil {
			c.Message = undecoded
		}
	}
	anew, err := unbound(from.FailureToError(decoded), f)
	if err != nil {
		return err
	}
	bound, err := toFailure(to, anew)
	if err != nil {
		return err
	}
	bound = asApplicationFailure(bound, !f.GetApplicationFailureInfo().GetNonRetryable())
	bound.Source = f.GetSource()
	o.Payload, err = proto.Marshal(bound)
	return err
}

// unbound makes the error of a failure anew, since those that the SDK makes of
// one turn into that very failure again. Causes become application errors,
// whatever they were.
func unbound(err error, f *failurepb.Failure) (anew, failure error) {
	if err == nil {
		return nil, nil
	}
	cause, failure := unbound(errors.Unwrap(err), f.GetCause())
	if failure != nil {
		return nil, failure
	}
	o := temporal.ApplicationErrorOptions{Cause: cause}
	message, kind := err.Error(), ""
	if app, ok := err.(*temporal.ApplicationError); ok {
		message, kind = app.Message(), app.Type()
		o.NonRetryable, o.NextRetryDelay, o.Category = app.NonRetryable(), app.NextRetryDelay(), app.Category()
		details := make([]converter.RawValue, len(f.GetApplicationFailureInfo().GetDetails().GetPayloads()))
		into := make([]any, len(details))
		for i := range details {
			into[i] = &details[i]
		}
		if len(into) > 0 {
			if err := app.Details(into...); err != nil {
				return nil, err
			}
			for _, d := range details {
				o.Details = append(o.Details, d)
			}
		}
	}
	if strings.Contains(message, undecoded) {
		return nil, errors.New("the message of a failure can't be decoded")
	}
	return temporal.NewApplicationErrorWithOptions(message, kind, o), nil
}
