package async

import (
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

var errUnreadable = fmt.Errorf("%w: the outcome can't be read", store.ErrCorrupt)

// rebind encodes stored payloads again for another activity, because a codec
// may have bound them to the first activity. rebind decodes and encodes only
// the codec's layer, and does not convert values.
func (e encoder) rebind(stored []byte, from, to *converter.ActivitySerializationContext) ([]byte, error) {
	ps := new(commonpb.Payloads)
	if proto.Unmarshal(stored, ps) != nil {
		return nil, errUnreadable
	}
	decode, err := e.dataIn(from)
	if err != nil {
		return nil, err
	}
	encode, err := e.dataIn(to)
	if err != nil {
		return nil, err
	}
	for i, p := range ps.Payloads {
		ps.Payloads[i], err = guarded("the data converter or its codec", func() (*commonpb.Payload, error) {
			var raw converter.RawValue
			if err := decode.FromPayload(p, &raw); err != nil {
				return nil, err
			}
			return encode.ToPayload(raw)
		})
		if err != nil {
			return nil, err
		}
	}
	return proto.Marshal(ps)
}

// rebound encodes the payloads of a record again after the record has moved to
// another activity. rebound does not check sizes again, because the codec's
// layer has the same size for every activity.
func (e encoder) rebound(r *record.Record, from *converter.ActivitySerializationContext) (err error) {
	to := contextOf(r)
	if bound, err := e.rebind(r.Details, from, to); err == nil {
		r.Details = bound
	} else {
		r.Details, r.DetailsPendingSince = nil, 0 // the details cannot be decoded
	}
	if r.State == record.Settled {
		if r.Outcome.Payload, err = e.rebind(r.Outcome.Payload, from, to); err != nil {
			return fmt.Errorf("the result that came early can't be encoded for this activity now: %w", err)
		}
	}
	return nil
}
