package async_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
)

// Strict is a type whose decoder rejects wrong values with an error.
type Strict struct{ Amount int }

func (s *Strict) Validate() error {
	if s.Amount <= 0 {
		return errors.New("the amount is not above zero")
	}
	return nil
}

// Unencodable is a type that JSON cannot encode.
type Unencodable struct{ C chan int }

// pend starts an activity that awaits a T.
func pend[T any](t *testing.T, w *world) async.Pending[T] {
	t.Helper()
	var id string
	err := async.StartAttempt(t.Context(), w.hub, attempt(1), async.StartOptions{}, func(_ context.Context, p async.Pending[T]) error {
		id = p.ID()
		return nil
	})
	if err != activity.ErrResultPending {
		t.Fatalf("Start: %v", err)
	}
	p, err := async.Open[T](t.Context(), w.hub, id)
	wantNil(t, err)
	return p
}

func TestCompleteRefusesBadResults(t *testing.T) {
	small := func(o *async.Options) { o.BlobLimit = 2048 }
	for name, c := range map[string]struct {
		do   func(w *world) error
		want error
		says string
	}{
		"nil pointer":   {func(w *world) error { return pend[*Decision](t, w).Complete(t.Context(), nil) }, async.ErrInvalidResult, "nil *async_test.Decision"},
		"pointer to it": {func(w *world) error { return pend[**Decision](t, w).Complete(t.Context(), new(*Decision)) }, async.ErrInvalidResult, "nil"},
		"validate":      {func(w *world) error { return pend[*Strict](t, w).Complete(t.Context(), &Strict{}) }, async.ErrInvalidResult, "not above zero"},
		"of the value":  {func(w *world) error { return pend[Strict](t, w).Complete(t.Context(), Strict{}) }, async.ErrInvalidResult, "not above zero"},
		"unencodable":   {func(w *world) error { return pend[Unencodable](t, w).Complete(t.Context(), Unencodable{}) }, async.ErrInvalidResult, "can't be encoded"},
		"too large":     {func(w *world) error { return pend[string](t, w).Complete(t.Context(), strings.Repeat("x", 3000)) }, async.ErrTooLarge, "over 2048"},
		"details too large": {func(w *world) error {
			w.completer.DescribeFunc = cancelRequested
			return pend[Decision](t, w).ReportCanceled(t.Context(), strings.Repeat("x", 3000))
		}, async.ErrTooLarge, "over 2048"},
		"details unencodable": {func(w *world) error { return pend[Decision](t, w).ReportCanceled(t.Context(), make(chan int)) }, async.ErrInvalidResult, "details"},
		"nil error":           {func(w *world) error { return pend[Decision](t, w).Fail(t.Context(), nil) }, async.ErrInvalidFailure, "nil error"},
		"nil rejection":       {func(w *world) error { return pend[Decision](t, w).Reject(t.Context(), nil) }, async.ErrInvalidFailure, "nil error"},
		"pending": {func(w *world) error {
			return pend[Decision](t, w).Fail(t.Context(), fmt.Errorf("x: %w", activity.ErrResultPending))
		}, async.ErrInvalidFailure, "ErrResultPending"},
		"failure's details": {func(w *world) error {
			return pend[Decision](t, w).Fail(t.Context(), temporal.NewApplicationError("x", "X", make(chan int)))
		}, async.ErrInvalidFailure, "encoded"},
		"reference":            {func(w *world) error { return pend[Decision](t, w).Remember(t.Context(), strings.Repeat("x", 5000)) }, nil, "5000 bytes"},
		"reference's alphabet": {func(w *world) error { return pend[Decision](t, w).Remember(t.Context(), "\xff") }, nil, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, small)
			err := c.do(w)
			if err == nil {
				t.Fatal("accepted")
			}
			if c.want != nil {
				wantErr(t, err, c.want)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("the error doesn't say %q: %v", c.says, err)
			}
			if !strings.Contains(err.Error(), "…") {
				t.Errorf("the error doesn't name the callback: %v", err)
			}
			w.wantState(async.Waiting)
			w.wantSent(0)
		})
	}
}

func cancelRequested(context.Context, completer.Target, string) (completer.Status, error) {
	return completer.Status{Pending: true, Running: true, CancelRequested: true}, nil
}

// brokenCodec always fails, as a codec that calls another service can.
type brokenCodec struct{}

func (brokenCodec) Encode([]*commonpb.Payload) ([]*commonpb.Payload, error) {
	return nil, errors.New("codec server away")
}
func (brokenCodec) Decode(p []*commonpb.Payload) ([]*commonpb.Payload, error) { return p, nil }

func TestCodecAway(t *testing.T) {
	data := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), brokenCodec{})
	w := newWorld(t, func(o *async.Options) {
		o.DataConverter = data
		o.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: data, EncodeCommonAttributes: true})
	})
	w.completer.DescribeFunc = cancelRequested
	p := pend[Decision](t, w)
	for name, err := range map[string]error{
		"complete": p.Complete(t.Context(), Decision{}),
		"fail":     p.Fail(t.Context(), errors.New("no")),
		"cancel":   p.ReportCanceled(t.Context(), "why"),
	} {
		if err == nil || errors.Is(err, async.ErrInvalidResult) || !strings.Contains(err.Error(), "try again") {
			t.Errorf("%s: %v, want an error that says to try again, and doesn't blame the value", name, err)
		}
	}
	w.wantState(async.Waiting)
}

func TestTheSameAgainSucceeds(t *testing.T) {
	m, err := structpb.NewStruct(map[string]any{"b": 1, "a": "x"})
	wantNil(t, err)
	for name, do := range map[string]func(w *world) (first, again, other error){
		"map": func(w *world) (error, error, error) {
			p := pend[map[string]int](t, w)
			return p.Complete(t.Context(), map[string]int{"a": 1, "b": 2}), p.Complete(t.Context(), map[string]int{"b": 2, "a": 1}), p.Complete(t.Context(), nil)
		},
		"protobuf": func(w *world) (error, error, error) {
			p := pend[*structpb.Struct](t, w)
			return p.Complete(t.Context(), m), p.Complete(t.Context(), proto.CloneOf(m)), p.Complete(t.Context(), &structpb.Struct{})
		},
		"bytes": func(w *world) (error, error, error) {
			p := pend[[]byte](t, w)
			return p.Complete(t.Context(), []byte("a")), p.Complete(t.Context(), []byte("a")), p.Complete(t.Context(), []byte("b"))
		},
		"failure": func(w *world) (error, error, error) {
			p := pend[Decision](t, w)
			return p.Reject(t.Context(), temporal.NewApplicationError("no", "No", 1)), p.Reject(t.Context(), temporal.NewApplicationError("no", "No", 1)), p.Reject(t.Context(), temporal.NewApplicationError("no", "No", 2))
		},
		"retryability": func(w *world) (error, error, error) {
			p := pend[Decision](t, w)
			return p.Reject(t.Context(), errors.New("no")), p.Reject(t.Context(), errors.New("no")), p.Fail(t.Context(), errors.New("no"))
		},
		"cause": func(w *world) (error, error, error) {
			p := pend[Decision](t, w)
			return p.Reject(t.Context(), fmt.Errorf("no: %w", errors.New("a"))), p.Reject(t.Context(), fmt.Errorf("no: %w", errors.New("a"))), p.Reject(t.Context(), errors.New("no: a"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first, again, other := do(w)
			wantNil(t, first)
			if again != nil {
				t.Errorf("the same again: %v", again)
			}
			wantErr(t, other, async.ErrSettled)
			w.wantSent(1)
		})
	}
}

// Matrix is a type that only the application's converter encodes.
type Matrix struct{ F func() }

type ownConverter struct{ converter.DataConverter }

func (ownConverter) ToPayload(any) (*commonpb.Payload, error) {
	return &commonpb.Payload{Data: []byte("matrix")}, nil
}

func (c ownConverter) ToPayloads(vs ...any) (*commonpb.Payloads, error) {
	p, err := c.ToPayload(vs[0])
	return &commonpb.Payloads{Payloads: []*commonpb.Payload{p}}, err
}

func TestValueThatOnlyTheApplicationEncodes(t *testing.T) {
	w := newWorld(t, func(o *async.Options) { o.DataConverter = ownConverter{converter.GetDefaultDataConverter()} })
	p := pend[Matrix](t, w)
	wantNil(t, p.Complete(t.Context(), Matrix{}))
	wantNil(t, p.Complete(t.Context(), Matrix{}))
	w.wantSent(1)
}

func TestErrSettledSaysWhatKindStands(t *testing.T) {
	w := newWorld(t)
	p := pend[Decision](t, w)
	wantNil(t, p.Reject(t.Context(), errors.New("secret reason")))
	err := p.Complete(t.Context(), Decision{})
	wantErr(t, err, async.ErrSettled)
	if !strings.Contains(err.Error(), "a failure") || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error should name the kind and not the content: %v", err)
	}
}

// sentFailure fails an activity and returns the failure that the hub sent.
func sentFailure(t *testing.T, err error, reject bool, change ...func(*async.Options)) *failurepb.Failure {
	t.Helper()
	w := newWorld(t, change...)
	p := pend[Decision](t, w)
	if reject {
		wantNil(t, p.Reject(t.Context(), err))
	} else {
		wantNil(t, p.Fail(t.Context(), err))
	}
	f := w.wantSent(1)[0].Outcome.Failure
	if f == nil {
		t.Fatal("no failure was sent")
	}
	return f
}

func TestFailures(t *testing.T) {
	cancelled := temporal.NewCanceledError("detail")
	for name, c := range map[string]struct {
		err          error
		reject       bool
		nonRetryable bool
	}{
		"plain":                    {errors.New("no"), false, false},
		"rejected":                 {errors.New("no"), true, true},
		"application":              {temporal.NewApplicationError("no", "No"), false, false},
		"its own word":             {temporal.NewNonRetryableApplicationError("no", "No", nil), false, true},
		"a cancellation":           {cancelled, false, false},
		"a cancellation inside":    {fmt.Errorf("no: %w", cancelled), false, false},
		"context.Canceled":         {context.Canceled, false, false},
		"context.Canceled, inside": {fmt.Errorf("no: %w", context.Canceled), true, true},
		"a cancellation as cause":  {temporal.NewApplicationErrorWithCause("no", "No", cancelled), false, false},
		"joined":                   {errors.Join(errors.New("no"), cancelled), false, false},
		"a time-out":               {temporal.NewHeartbeatTimeoutError(), false, false},
		"a rejected time-out":      {temporal.NewHeartbeatTimeoutError(), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := sentFailure(t, c.err, c.reject)
			info := f.GetApplicationFailureInfo()
			if info == nil || info.NonRetryable != c.nonRetryable {
				t.Fatalf("sent %v, want an application failure, non-retryable: %v", f.GetFailureInfo(), c.nonRetryable)
			}
			if mark := async.FailureMark(f); !strings.HasPrefix(mark, "f") {
				t.Errorf("the failure's mark is %q", mark)
			}
			for cause := f; cause != nil; cause = cause.Cause {
				if cause.GetCanceledFailureInfo() != nil {
					t.Error("a cancellation is inside: the workflow would end as cancelled")
				}
			}
		})
	}
}

func TestCancelledCauseKeepsItsDetails(t *testing.T) {
	f := sentFailure(t, fmt.Errorf("no: %w", temporal.NewCanceledError("detail")), false)
	cause := f.GetCause().GetApplicationFailureInfo()
	if cause.GetType() != "Canceled" || len(cause.GetDetails().GetPayloads()) != 1 {
		t.Errorf("the cause is %v, want an application failure of type Canceled with its detail", f.GetCause())
	}
}

func TestFailureOverTheLimitIsCut(t *testing.T) {
	big := strings.Repeat("ü", 5000)
	rot := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), reverse{})
	encrypted := func(o *async.Options) {
		o.DataConverter = rot
		o.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: rot, EncodeCommonAttributes: true})
	}
	foreign := func(o *async.Options) {
		o.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: rot, EncodeCommonAttributes: true})
	}
	var deep error = errors.New("root")
	for range 200 {
		deep = fmt.Errorf("level: %w", deep)
	}
	for name, c := range map[string]struct {
		err    error
		change func(*async.Options)
		keeps  string // of the message
	}{
		"message":           {errors.New("it broke: " + big), func(*async.Options) {}, "it broke: "},
		"details":           {temporal.NewApplicationError("it broke", "Broken", big), func(*async.Options) {}, "it broke"},
		"cause":             {temporal.NewApplicationErrorWithCause("it broke", "Broken", errors.New(big)), func(*async.Options) {}, "it broke"},
		"causes":            {fmt.Errorf("it broke: %w", deep), func(*async.Options) {}, "it broke"},
		"type":              {temporal.NewApplicationError("it broke", big), func(*async.Options) {}, "it broke"},
		"encrypted message": {errors.New("it broke: " + big), encrypted, ""},
		"foreign converter": {errors.New("it broke: " + big), foreign, ""},
	} {
		for _, reject := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", name, reject), func(t *testing.T) {
				f := sentFailure(t, c.err, reject, func(o *async.Options) { o.BlobLimit = 4096 }, c.change)
				if size := proto.Size(f); size > 4096 {
					t.Errorf("sent %d bytes, want at most 4096", size)
				}
				if f.GetApplicationFailureInfo().GetNonRetryable() != reject {
					t.Error("retryability was not kept")
				}
				if f.GetEncodedAttributes() != nil {
					converter.DecodeCommonFailureAttributes(rot, f)
				}
				if !strings.HasPrefix(f.Message, c.keeps) || !strings.Contains(f.Message, "cut by Latchkey from") {
					t.Errorf("the message is %.80q…, want one that begins with %q and says that it was cut", f.Message, c.keeps)
				}
				if strings.ContainsRune(f.Message, '\uFFFD') {
					t.Error("a character was cut in two")
				}
			})
		}
	}
}

// reverse is a codec that reverses the bytes of each payload.
type reverse struct{}

func (reverse) Encode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(ps))
	for i, p := range ps {
		b, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		for l, r := 0, len(b)-1; l < r; l, r = l+1, r-1 {
			b[l], b[r] = b[r], b[l]
		}
		out[i] = &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("binary/reverse")}, Data: b}
	}
	return out, nil
}

func (reverse) Decode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(ps))
	for i, p := range ps {
		if string(p.Metadata["encoding"]) != "binary/reverse" {
			out[i] = p
			continue
		}
		b := append([]byte(nil), p.Data...)
		for l, r := 0, len(b)-1; l < r; l, r = l+1, r-1 {
			b[l], b[r] = b[r], b[l]
		}
		out[i] = new(commonpb.Payload)
		if err := proto.Unmarshal(b, out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func TestCodecRunsOnce(t *testing.T) {
	rot := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), reverse{})
	w := newWorld(t, func(o *async.Options) { o.DataConverter = rot })
	p := pend[Decision](t, w)
	wantNil(t, p.Complete(t.Context(), Decision{Reason: "x"}))
	var got Decision
	if err := rot.FromPayloads(w.wantSent(1)[0].Outcome.Result, &got); err != nil || got.Reason != "x" {
		t.Errorf("decoded %+v, %v", got, err)
	}
}
