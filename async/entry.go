package async

import (
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// entry is a record with its ID, version and due time in the store.
type entry struct {
	id      string
	version uint64
	due     time.Time
	rec     *record.Record
	held    bool      // this hub has claimed the notices and calls the hooks
	until   time.Time // if set, the entry is due at this time and not when its record is
}

func decodeEntry(e store.Entry) (entry, error) {
	if err := checkFormat(e.Body); err != nil {
		return entry{}, err
	}
	rec := new(record.Record)
	if err := proto.Unmarshal(e.Body[1:], rec); err != nil {
		return entry{}, errNoRecord
	}
	if err := checkRecord(rec); err != nil {
		return entry{}, err
	}
	return entry{id: e.ID, version: e.Version, due: e.Due, rec: rec}, nil
}

// errNoRecord replaces an error of protobuf, which can contain the bytes that it
// read.
var errNoRecord = fmt.Errorf("%w: the body is no record", store.ErrCorrupt)

func checkFormat(body []byte) error {
	if len(body) == 0 {
		return fmt.Errorf("%w: an empty body", store.ErrCorrupt)
	}
	if body[0] != record.Format {
		return fmt.Errorf("%w: body format %d", errNewer, body[0])
	}
	return nil
}

func (e entry) encode() (store.Entry, error) {
	body := make([]byte, 1, 1+proto.Size(e.rec))
	body[0] = record.Format
	// The encoding is deterministic, so that a repeated write has the same
	// bytes.
	body, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(body, e.rec)
	if err != nil {
		return store.Entry{}, err
	}
	if len(body) > store.MaxBody { // a backend accepts slightly larger bodies, but that room is for wrapping stores
		return store.Entry{}, fmt.Errorf("%w: body must be at most %d bytes, got %d", store.ErrInvalid, store.MaxBody, len(body))
	}
	return store.Entry{ID: e.id, Version: e.version, Due: e.due, Body: body}, nil
}

// callbackID returns the callback ID of the entry's current round.
func (e entry) callbackID() record.CallbackID { return record.NewCallbackID(e.id, e.rec.Secret) }

func (e entry) clone() entry {
	e.rec = proto.CloneOf(e.rec)
	return e
}

// target returns the last attempt that the record knows.
func target(r *record.Record) completer.Target {
	return completer.Target{
		Namespace:     r.Namespace,
		WorkflowID:    r.WorkflowId,
		WorkflowType:  r.WorkflowType,
		RunID:         r.RunId,
		ActivityID:    r.ActivityId,
		ActivityType:  r.ActivityType,
		ActivityRunID: r.ActivityRunId,
		TaskQueue:     r.TaskQueue,
		TaskToken:     r.TaskToken,
		Scheduled:     fromNano(r.Scheduled),
		Started:       fromNano(r.Started),
	}
}

// outcome returns the record's outcome.
func outcome(r *record.Record) (completer.Outcome, error) {
	o, err := parseOutcome(r.GetOutcome().GetKind(), r.GetOutcome().GetPayload())
	o.Mark = r.GetOutcome().GetMark()
	return o, err
}

// parseOutcome reads a stored payload.
func parseOutcome(kind record.Kind, payload []byte) (o completer.Outcome, err error) {
	var m proto.Message
	switch kind {
	case record.Result:
		o.Result = new(commonpb.Payloads)
		m = o.Result
	case record.Failure:
		o.Failure = new(failurepb.Failure)
		m = o.Failure
	case record.Cancellation:
		o.Canceled = new(commonpb.Payloads)
		m = o.Canceled
	default:
		return o, fmt.Errorf("%w: outcome kind %d", errNewer, kind)
	}
	if err := proto.Unmarshal(payload, m); err != nil {
		// An error of protobuf can contain the bytes that it read.
		return o, fmt.Errorf("%w: the outcome can't be read", store.ErrCorrupt)
	}
	return o, nil
}

func kindName(k record.Kind) string {
	switch k {
	case record.Result:
		return "result"
	case record.Failure:
		return "failure"
	case record.Cancellation:
		return "cancellation"
	default:
		return ""
	}
}

func toNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNano(n int64) time.Time { return lifecycle.FromNano(n) }
