package async

import (
	"context"
	"sync"
	"time"

	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/time/rate"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// sentinelLook is how long Start waits for Temporal's answer about the last
// failure.
const sentinelLook = 2 * time.Second

// sentinels logs that some code wraps activity.ErrResultPending, at most once
// every troubleEvery for each activity type. The zero value of sentinels is
// ready to use.
type sentinels struct {
	types sync.Map // *rate.Sometimes by activity type
}

func (s *sentinels) sometimes(activityType string) *rate.Sometimes {
	v, _ := s.types.LoadOrStore(activityType, &rate.Sometimes{First: 1, Interval: troubleEvery})
	return v.(*rate.Sometimes)
}

// wasHandedOver reports whether the previous attempt had handed the activity
// over. An attempt that handed the activity over should still wait, and no
// other attempt should follow it.
func wasHandedOver(before, now *record.Record) bool {
	return before.State == record.Waiting && before.HandedOffStarted == before.Started && before.HandedOffStarted != 0 &&
		now.Started > before.Started && lifecycle.SameActivity(before, now)
}

// lookForWrapped asks Temporal why the previous attempt ended, and logs an
// error if activity.ErrResultPending was reported as a failure. No other
// message names that cause: the workflow only sees an activity that fails.
func (s *starter) lookForWrapped(ctx context.Context, r *record.Record) {
	if s.completer == nil {
		return
	}
	call, cancel := context.WithTimeout(ctx, sentinelLook)
	defer cancel()
	status, err := s.describe(call, r, "")
	if err != nil || !status.Pending {
		return
	}
	if enc, err := s.encoder.in(ctx); err != nil || !enc.saysPending(r, status.LastFailure) {
		return
	}
	s.sentinels.sometimes(r.ActivityType).Do(func() {
		s.log.ErrorContext(ctx, "async: the attempt before failed with activity.ErrResultPending, so it no longer waited: "+
			"the activity or an interceptor wraps the error that Start returns; "+
			"return that error as it is, and put async.Interceptor() first in worker.Options.Interceptors, "+
			"or first in client.Options.Interceptors if an interceptor of the client wraps it",
			anys(fields(record.EntryID(r), r, OpHandOff, "", nil))...)
	})
}

// saysPending reports whether a failure, or one of its causes, has the message
// of activity.ErrResultPending. A message that the failure converter has
// encoded is decoded with the activity's data converter.
func (e encoder) saysPending(r *record.Record, f *failurepb.Failure) bool {
	for depth := 0; f != nil && depth < maxSentinelDepth; depth++ {
		if saysPending(f.GetMessage()) {
			return true
		}
		if f.GetEncodedAttributes() != nil {
			if message, err := e.decodedMessage(r, f); err == nil && saysPending(message) {
				return true
			}
		}
		f = f.GetCause()
	}
	return false
}

// maxSentinelDepth is the maximum number of causes that saysPending examines.
const maxSentinelDepth = 16

// decodedMessage returns the message of a failure whose attributes are encoded.
func (e encoder) decodedMessage(r *record.Record, f *failurepb.Failure) (string, error) {
	data, err := e.dataIn(contextOf(r))
	if err != nil {
		return "", err
	}
	return guarded("the data converter", func() (string, error) {
		decoded := &failurepb.Failure{Message: f.GetMessage(), EncodedAttributes: proto.CloneOf(f.GetEncodedAttributes())}
		converter.DecodeCommonFailureAttributes(data, decoded)
		return decoded.GetMessage(), nil
	})
}
