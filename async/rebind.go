package async

import (
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/store"
)

var errUnreadable = fmt.Errorf("%w: the outcome can't be read", store.ErrCorrupt)

// rebind encodes stored payloads anew that a codec may have bound to one
// activity, for another. Values are not converted, only what lies around them.
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
