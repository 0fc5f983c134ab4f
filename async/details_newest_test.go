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

// What the outside brings is newer than what it has brought before, whatever
// the clocks say.
func TestBroughtDetailsWhereTheServersClockDiffers(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Minute, -time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				s.describe = func(s *completer.Status) {
					if !s.LastHeartbeat.IsZero() {
						s.LastHeartbeat = s.LastHeartbeat.Add(ahead)
					}
				}
				p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
				wantNil(t, p.Heartbeat(t.Context(), "40%"))
				pass(2 * time.Second)
				w.work(w.hub)
				pass(55 * time.Second)
				w.startNow(2, 30*time.Second, async.StartOptions{}, nil)
				wantNil(t, p.Heartbeat(t.Context(), "50%"))
				pass(10 * time.Second)
				w.work(w.hub)
				if said := s.said(); said != "40% 50%" {
					t.Errorf("Temporal's clock is %v ahead, and the beats say %q, want 40%% 50%%", ahead, said)
				}
			})
		})
	}
}

// What the outside brings while a beat is under way is newer than what that
// says, also for the attempt after this one.
func TestBroughtDuringTheLastBeatOfAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
		wantNil(t, p.Heartbeat(t.Context(), "40%"))
		pass(2 * time.Second)
		w.work(w.hub)
		s.slow = 100 * time.Millisecond
		pass(10 * time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.work(w.hub)
		}()
		pass(50 * time.Millisecond)
		wantNil(t, p.Heartbeat(t.Context(), "50%"))
		<-done
		w.startNow(2, 30*time.Second, async.StartOptions{}, nil) // before the next beat
		pass(10 * time.Second)
		w.work(w.hub)
		if said := s.said(); said != "40% 40% 50%" {
			t.Errorf("the beats say %q, want 40%% 40%% 50%%", said)
		}
	})
}

// A round that ends, or whose type is another now, takes no details with it
// that were not sent yet.
func TestUnsentDetailsOutliveTheirRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newBeatWorld(t)
		s.beatErr = completer.ErrOver
		p := w.open(w.startNow(1, 30*time.Second, async.StartOptions{}, nil))
		wantNil(t, p.Heartbeat(t.Context(), "40%"))
		s.beatErr = nil
		w.change(func(r *record.Record) { r.ResultType = "another" })
		if again := w.startNow(2, 30*time.Second, async.StartOptions{}, nil); again == p.ID() {
			t.Error("the type has changed, and the round hasn't")
		}
		pass(10 * time.Second)
		w.work(w.hub)
		if said := s.said(); said != "40%" {
			t.Errorf("the beat of the next attempt says %q, want what was brought before it, 40%%", said)
		}
	})
}

// A reset can clear the details at the server: they don't come back, but for
// those that it hasn't had yet.
func TestResetClearsDetails(t *testing.T) {
	for name, c := range map[string]struct {
		first, second int
		reset         bool
		brought       string
		want          string
	}{
		"which a beat has learned of":      {1, 2, true, "", "-"},
		"to the first attempt":             {2, 1, false, "", "-"},
		"of the first attempt":             {1, 1, false, "", "-"},
		"and the outside brings something": {2, 1, false, "50%", "50%"},
		"and there was none":               {1, 2, false, "", "40%"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, s := newBeatWorld(t)
				p := w.open(w.startNow(c.first, 30*time.Second, async.StartOptions{}, nil))
				wantNil(t, p.Heartbeat(t.Context(), "40%"))
				s.signals.Reset = c.reset
				pass(2 * time.Second)
				w.work(w.hub)
				if s.lastSaid() != "40%" {
					t.Fatalf("Temporal has %q before the reset, want 40%%", s.lastSaid())
				}
				if c.brought != "" {
					wantNil(t, p.Heartbeat(t.Context(), c.brought))
				}
				s.details, s.signals.Reset = nil, false
				w.startNow(c.second, 30*time.Second, async.StartOptions{}, nil)
				pass(10 * time.Second)
				w.work(w.hub)
				if n := len(s.taken()); n != 2 || s.lastSaid() != c.want {
					t.Errorf("after %d beats Temporal has %q, want %q after two", n, s.lastSaid(), c.want)
				}
			})
		})
	}
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

// A job's progress is encoded anew for the activity that takes its key over,
// and dropped where nobody could read it.
func TestKeyTakeOverBindsDetails(t *testing.T) {
	for name, c := range map[string]struct {
		brought bool // something that no beat has sent yet
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

// Details that can't be bound anew stop nobody from taking the key over.
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
