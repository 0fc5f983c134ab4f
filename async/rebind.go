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
