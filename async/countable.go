package async

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// countable decodes entries for a count. It leaves out the fields that no count
// depends on, which are most of an entry, and it reuses its memory: a decoded
// entry is valid until the next one is decoded.
type countable struct {
	rec  record.Record
	kept []byte
}

func (c *countable) decode(stored store.Entry) (entry, error) {
	if err := checkFormat(stored.Body); err != nil {
		return entry{}, err
	}
	c.kept = c.kept[:0]
	for rest := stored.Body[1:]; len(rest) > 0; {
		number, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return entry{}, errNoRecord
		}
		if counts(number) {
			c.kept = append(c.kept, rest[:n]...)
		}
		rest = rest[n:]
	}
	if err := proto.Unmarshal(c.kept, &c.rec); err != nil {
		return entry{}, errNoRecord
	}
	if err := checkRecord(&c.rec); err != nil {
		return entry{}, err
	}
	return entry{id: stored.ID, version: stored.Version, due: stored.Due, rec: &c.rec}, nil
}

// counts reports whether a count may depend on a field of the record, by the
// number of the field. That includes the checks of the record.
func counts(field protowire.Number) bool {
	switch field {
	case 1, // namespace
		2,  // workflow_id
		3,  // workflow_type
		4,  // run_id
		5,  // activity_id
		7,  // activity_run_id
		8,  // task_queue
		17, // result_type
		19, // rounds
		21, // reference
		22, // labels
		38, // details
		48, // server_details_digest
		60: // carry
		return false
	}
	return true
}
