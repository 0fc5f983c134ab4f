package async_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

// deep is an error with n causes.
type deep struct{ n int }

func (d deep) Error() string { return fmt.Sprintf("level %d", d.n) }

func (d deep) Unwrap() error {
	if d.n == 0 {
		return nil
	}
	return deep{d.n - 1}
}

// circle is an error that unwraps to itself.
type circle struct{}

func (circle) Error() string { return "round and round" }
func (circle) Unwrap() error { return circle{} }

// A failure keeps its first 64 causes. Protobuf reads no message with a nesting
// depth of 10,000, and in some languages none with a depth of 100.
func TestCausesAreCut(t *testing.T) {
	encrypting := func(o *async.Options) {
		o.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{EncodeCommonAttributes: true})
	}
	for name, changes := range map[string][]func(*async.Options){"clear": nil, "encoded": {encrypting}} {
		for _, n := range []int{64, 65, 10_001} {
			t.Run(fmt.Sprintf("%s, %d", name, n), func(t *testing.T) {
				w := newWorld(t, changes...)
				p := pend[Decision](t, w)
				wantNil(t, p.Reject(t.Context(), deep{n}))
				wantNil(t, p.Reject(t.Context(), deep{n}))
				f := w.wantSent(1)[0].Outcome.Failure
				levels, last := 0, f
				for c := f; c != nil; c = c.GetCause() {
					levels, last = levels+1, c
				}
				if levels != 65 {
					t.Errorf("sent with %d causes, want 64", levels-1)
				}
				if cut := strings.Contains(last.GetMessage(), "cut by Latchkey"); cut != (n > 64) && name == "clear" {
					t.Errorf("the last cause says %q", last.GetMessage())
				}
			})
		}
	}
}

func TestErrorWithoutEndIsRefused(t *testing.T) {
	w := newWorld(t)
	p := pend[Decision](t, w)
	wantErr(t, p.Fail(t.Context(), circle{}), async.ErrInvalidFailure)
	wantErr(t, p.Reject(t.Context(), deep{1_000_000}), async.ErrInvalidFailure)
	w.wantState(async.Waiting)
}

// Latchkey cuts a copy of a failure that an error carries, and does not change
// the original.
func TestCarriedFailureIsNotChanged(t *testing.T) {
	carried := temporal.GetDefaultFailureConverter().ErrorToFailure(deep{100})
	err := temporal.GetDefaultFailureConverter().FailureToError(proto.CloneOf(carried))
	before := proto.CloneOf(temporal.GetDefaultFailureConverter().ErrorToFailure(err))
	w := newWorld(t)
	wantNil(t, pend[Decision](t, w).Reject(t.Context(), err))
	if after := temporal.GetDefaultFailureConverter().ErrorToFailure(err); !proto.Equal(before, after) {
		t.Error("the caller's error was changed")
	}
}

// rawFailures is a failure converter whose texts are not UTF-8.
type rawFailures struct{ converter.FailureConverter }

func (rawFailures) ErrorToFailure(error) *failurepb.Failure {
	bad := "caf\xe9"
	return &failurepb.Failure{
		Message: bad, Source: bad, StackTrace: bad,
		FailureInfo: &failurepb.Failure_ApplicationFailureInfo{ApplicationFailureInfo: &failurepb.ApplicationFailureInfo{Type: bad}},
		Cause: &failurepb.Failure{Message: bad, StackTrace: bad, Source: bad, FailureInfo: &failurepb.Failure_ActivityFailureInfo{
			ActivityFailureInfo: &failurepb.ActivityFailureInfo{Identity: bad, ActivityType: &commonpb.ActivityType{Name: bad}},
		}},
	}
}

// Latchkey replaces text that is not UTF-8, and accepts the failure.
func TestFailureTextIsMadeValid(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		change func(*async.Options)
	}{
		"message":  {errors.New("caf\xe9"), func(*async.Options) {}},
		"type":     {temporal.NewApplicationError("no", "caf\xe9"), func(*async.Options) {}},
		"cause":    {fmt.Errorf("no: %w", temporal.NewApplicationErrorWithCause("caf\xe9", "caf\xe9", errors.New("caf\xe9"))), func(*async.Options) {}},
		"all of a": {errors.New("no"), func(o *async.Options) { o.FailureConverter = rawFailures{temporal.GetDefaultFailureConverter()} }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			p := pend[Decision](t, w)
			wantNil(t, p.Reject(t.Context(), c.err))
			wantNil(t, p.Reject(t.Context(), c.err))
			f := w.wantSent(1)[0].Outcome.Failure
			if text := f.String(); !utf8.ValidString(f.GetMessage()) || !strings.Contains(text, "caf\uFFFD") {
				t.Errorf("sent %q, want caf\uFFFD", text)
			}
			for c := f; c != nil; c = c.GetCause() {
				for _, s := range []string{c.GetMessage(), c.GetSource(), c.GetStackTrace(), c.GetApplicationFailureInfo().GetType(), c.GetActivityFailureInfo().GetIdentity()} {
					if !utf8.ValidString(s) {
						t.Errorf("sent %q, which is not UTF-8", s)
					}
				}
			}
		})
	}
}

func TestDeadJobsTextIsMadeValid(t *testing.T) {
	in(t, func(t *testing.T) {
		w, _ := newBeatWorld(t, probing(5*time.Second, func(context.Context, heartbeat.Activity) (any, error) {
			return nil, fmt.Errorf("caf\xe9: %w", heartbeat.ErrDead)
		}))
		runHub(t, w.hub)
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(10 * time.Second)
		if f := w.wantSent(1)[0].Outcome.Failure; !strings.HasPrefix(f.GetMessage(), "caf\uFFFD") {
			t.Errorf("the attempt failed with %q, want caf\uFFFD", f.GetMessage())
		}
	})
}

// unreadable is a converter whose payloads protobuf cannot write, or that makes
// too few payloads.
type unreadable struct {
	converter.DataConverter
	none bool
}

func (c unreadable) ToPayloads(...any) (*commonpb.Payloads, error) {
	if c.none {
		return nil, nil
	}
	return &commonpb.Payloads{Payloads: []*commonpb.Payload{{Metadata: map[string][]byte{"\xff": nil}}}}, nil
}

// A result that cannot be decoded again is not accepted.
func TestUnreadableResultIsRefused(t *testing.T) {
	w := newWorld(t, func(o *async.Options) {
		o.DataConverter = unreadable{DataConverter: converter.GetDefaultDataConverter()}
	})
	wantErr(t, pend[Decision](t, w).Complete(t.Context(), Decision{}), async.ErrInvalidResult)
	w.wantState(async.Waiting)
	w = newWorld(t, func(o *async.Options) { o.DataConverter = unreadable{converter.GetDefaultDataConverter(), true} })
	if err := pend[Decision](t, w).Complete(t.Context(), Decision{}); err == nil {
		t.Error("accepted a result without a payload, which the workflow would read as a zero value")
	}
	w.wantState(async.Waiting)
}

// Latin is a type whose name is not UTF-8.
type Latin struct{}

func (*Latin) ResultType() string { return "caf\xe9" }

// Names and keys that are not UTF-8 are refused with a definite error.
func TestNamesAreUTF8(t *testing.T) {
	w := newWorld(t)
	p := pend[Decision](t, w)
	bad := "caf\xe9"
	for name, c := range map[string]struct{ err, want error }{
		"namespace": {second(async.OpenKey[Decision](t.Context(), w.hub, "k", async.KeyOptions{Namespace: bad, Early: time.Hour})), async.ErrInvalidArgument},
		"key":       {second(async.OpenKey[Decision](t.Context(), w.hub, bad, async.KeyOptions{Namespace: "default", Early: time.Hour})), async.ErrInvalidArgument},
		"message":   {p.Complete(async.WithIdempotencyKey(t.Context(), bad), Decision{}), async.ErrInvalidArgument},
		"reference": {p.Remember(t.Context(), bad), async.ErrInvalidArgument},
		"type":      {second(async.Open[Latin](t.Context(), w.hub, p.ID())), async.ErrTypeMismatch},
	} {
		if !errors.Is(c.err, c.want) || !strings.Contains(c.err.Error(), "UTF-8") {
			t.Errorf("%s: %v, want %v, about UTF-8", name, c.err, c.want)
		}
	}
	_, err := async.New(async.Options{Store: store.NewMemory(), Pumps: map[string]heartbeat.Pump{bad: heartbeat.Relay(heartbeat.RelayOptions{})}})
	if err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("a pump's name: %v, want an error about UTF-8", err)
	}
	if got := w.record().State; got != record.Waiting {
		t.Errorf("the entry is %v", got)
	}
}

func second[T any](_ T, err error) error { return err }
