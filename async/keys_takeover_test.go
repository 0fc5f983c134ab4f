package async_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// TestKeyTakeOver: when a later activity takes over the business key, it gets
// the beats, with the details of the external system.
func TestKeyTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		runHub(t, w.hub)
		id := w.startNow(1, 30*time.Second, async.StartOptions{Key: "order-7"}, nil)
		wantNil(t, w.open(id).Heartbeat(t.Context(), "50%"))
		pass(12 * time.Second)
		s.set(func(s *server) {
			s.describe = func(s *completer.Status) { *s = completer.Status{End: completer.EndTimedOut} }
		})
		second := attemptNow(2, 30*time.Second)
		second.ScheduledTime = scheduled.Add(time.Minute)
		err := async.StartAttempt(t.Context(), w.hub, second, async.StartOptions{Key: "order-7"}, func(context.Context, async.Pending[Decision]) error {
			s.set(func(s *server) { s.describe, s.beats, s.details, s.last = nil, nil, nil, time.Time{} })
			return nil
		})
		if err == nil || w.record().State != record.Waiting {
			t.Fatalf("Start of the second activity returned %v", err)
		}
		pass(12 * time.Second)
		beats := s.taken()
		if len(beats) == 0 || beats[0].token != "token-2" || beats[0].details != "50%" {
			t.Errorf("the beats are %v, want the new activity's, with the progress of the same job", beats)
		}
	})
}

var errForeign = errors.New("the payload is another activity's")

// bound is a codec that binds payloads to the type of their activity.
type bound struct{ to string }

func (bound) WithSerializationContext(ctx converter.SerializationContext) converter.PayloadCodec {
	c, _ := ctx.(converter.ActivitySerializationContext)
	return bound{c.ActivityType}
}

func (c bound) Encode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(ps))
	for i, p := range ps {
		out[i] = proto.CloneOf(p)
		out[i].Metadata["bound-to"] = []byte(c.to)
	}
	return out, nil
}

func (c bound) Decode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(ps))
	for i, p := range ps {
		if string(p.Metadata["bound-to"]) != c.to {
			return nil, errForeign
		}
		out[i] = proto.CloneOf(p)
		delete(out[i].Metadata, "bound-to")
	}
	return out, nil
}

// TestKeyTakeOverBindsDetails: the details are encoded again for the activity
// that takes over the key. The details are dropped if that activity could not
// read them.
func TestKeyTakeOverBindsDetails(t *testing.T) {
	for name, c := range map[string]struct {
		brought bool // the external system has sent details that no beat has sent yet
		want    string
	}{
		"sent before":     {false, "50%"},
		"not sent before": {true, "60%"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t, func(o *async.Options) {
					o.DataConverter = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), bound{})
				})
				var sent []*commonpb.Payloads
				w.completer.HeartbeatFunc = func(ctx context.Context, tg completer.Target, d *commonpb.Payloads) (completer.Signals, error) {
					sent = append(sent, d)
					return s.heartbeat(ctx, tg, d)
				}
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{Key: "order-7"}, nil))
				wantNil(t, p.Heartbeat(t.Context(), "50%"))
				pass(2 * time.Second)
				w.work(w.hub)
				if c.brought {
					wantNil(t, p.Heartbeat(t.Context(), "60%"))
				}
				s.describe = func(s *completer.Status) { *s = completer.Status{End: completer.EndTimedOut} }
				second := attemptNow(1, 30*time.Second)
				second.TaskToken, second.ScheduledTime = []byte("token-2"), scheduled.Add(time.Minute)
				second.ActivityType.Name = "ApproveAgain"
				_, err := w.keyedStart(second, async.StartOptions{})
				if r := w.record(); r.ActivityType != "ApproveAgain" {
					t.Fatalf("the second activity didn't take the key over: %v", err)
				}
				s.describe, s.details, s.last = nil, nil, time.Time{}
				pass(10 * time.Second)
				w.work(w.hub)
				var got string
				theirs := converter.WithDataConverterSerializationContext(
					converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), bound{}), converter.ActivitySerializationContext{ActivityType: "ApproveAgain"})
				if err := theirs.FromPayloads(sent[len(sent)-1], &got); err != nil || got != c.want || len(sent) != 2 {
					t.Errorf("after %d beats the second activity reads %q, %v, want %s after two", len(sent), got, err, c.want)
				}
			})
		})
	}
}

// TestKeyTakeOverDropsDetailsThatCannotBeBound: an activity can take over the
// key although the details cannot be encoded again.
func TestKeyTakeOverDropsDetailsThatCannotBeBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t, func(o *async.Options) {
			o.DataConverter = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), bound{})
		})
		p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{Key: "order-7"}, nil))
		wantNil(t, p.Heartbeat(t.Context(), "50%"))
		e, r := w.stored()
		details := new(commonpb.Payloads)
		wantNil(t, proto.Unmarshal(r.Details, details))
		details.Payloads[0].Metadata["bound-to"] = []byte("another")
		b, err := proto.Marshal(details)
		wantNil(t, err)
		r.Details = b
		e, err = async.EncodeRecord(e, r)
		wantNil(t, err)
		_, err = w.store.Put(t.Context(), e)
		wantNil(t, err)

		s.describe = func(s *completer.Status) { *s = completer.Status{End: completer.EndTimedOut} }
		second := attemptNow(1, 30*time.Second)
		second.TaskToken, second.ScheduledTime = []byte("token-2"), scheduled.Add(time.Minute)
		second.ActivityType.Name = "ApproveAgain"
		_, err = w.keyedStart(second, async.StartOptions{})
		if r := w.record(); r.ActivityType != "ApproveAgain" || len(r.Details) != 0 {
			t.Fatalf("the second activity has %d bytes of details that it can't read, want to have taken the key over with none: %v", len(r.Details), err)
		}
		s.describe = nil
		pass(10 * time.Second)
		w.work(w.hub)
		if beats := s.taken(); len(beats) != 1 || beats[0].token != "token-2" || beats[0].details != "-" {
			t.Errorf("the beats are %v, want one of the second activity, without details", beats)
		}
	})
}
