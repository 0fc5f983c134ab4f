package async_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/heartbeat"
)

type tenant struct{}

func ofTenant(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, tenant{}, name)
}

// tenantConverter marks each payload with the tenant of the context and with
// the workflow of the serialization context. The order of the marks is the
// order in which the converter got the two contexts.
type tenantConverter struct {
	converter.DataConverter
	key string
}

func (c tenantConverter) WithWorkflowContext(workflow.Context) converter.DataConverter { return c }

func (c tenantConverter) WithContext(ctx context.Context) converter.DataConverter {
	name, _ := ctx.Value(tenant{}).(string)
	c.key += "+" + name
	return c
}

func (c tenantConverter) WithSerializationContext(ctx converter.SerializationContext) converter.DataConverter {
	c.key += "+" + ctx.(converter.ActivitySerializationContext).WorkflowID
	return c
}

func (c tenantConverter) mark(p *commonpb.Payload, err error) (*commonpb.Payload, error) {
	if err == nil {
		p.Metadata["key"] = []byte(c.key)
	}
	return p, err
}

func (c tenantConverter) ToPayload(v any) (*commonpb.Payload, error) {
	if raw, is := v.(converter.RawValue); is { // the value is decoded and encoded again
		return c.mark(raw.Payload(), nil)
	}
	return c.mark(c.DataConverter.ToPayload(v))
}

func (c tenantConverter) ToPayloads(vs ...any) (*commonpb.Payloads, error) {
	ps, err := c.DataConverter.ToPayloads(vs...)
	for _, p := range ps.GetPayloads() {
		_, err = c.mark(p, err)
	}
	return ps, err
}

// tenantFailures is the failure converter that belongs to a tenantConverter.
type tenantFailures struct {
	converter.FailureConverter
	data tenantConverter
}

func (c tenantFailures) WithContext(ctx context.Context) converter.FailureConverter {
	c.data = c.data.WithContext(ctx).(tenantConverter)
	c.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: c.data, EncodeCommonAttributes: true})
	return c
}

func (c tenantFailures) WithSerializationContext(ctx converter.SerializationContext) converter.FailureConverter {
	c.data = c.data.WithSerializationContext(ctx).(tenantConverter)
	c.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: c.data, EncodeCommonAttributes: true})
	return c
}

func tenants(o *async.Options) {
	o.DataConverter = tenantConverter{DataConverter: converter.GetDefaultDataConverter()}
	o.FailureConverter = tenantFailures{temporal.GetDefaultFailureConverter(), o.DataConverter.(tenantConverter)}
}

func keyOf(p *commonpb.Payload) string { return string(p.GetMetadata()["key"]) }

// A converter that implements ContextAware gets the context of the call first,
// and then the serialization context. The converters of the SDK's client get
// them in the same order.
func TestConvertersGetTheCallersContext(t *testing.T) {
	ctx := ofTenant(t.Context(), "a")
	failed := func(f *failurepb.Failure) string {
		return keyOf(f.GetEncodedAttributes()) + " " + keyOf(f.GetApplicationFailureInfo().GetDetails().GetPayloads()[0])
	}
	for name, c := range map[string]struct {
		do   func(p async.Pending[Decision]) error
		sent func(o completer.Outcome) string
		want string
	}{
		"complete": {func(p async.Pending[Decision]) error { return p.Complete(ctx, Decision{}) },
			func(o completer.Outcome) string { return keyOf(o.Result.GetPayloads()[0]) }, "+a+expense-7"},
		"fail": {func(p async.Pending[Decision]) error { return p.Fail(ctx, temporal.NewApplicationError("no", "No", 1)) },
			func(o completer.Outcome) string { return failed(o.Failure) }, "+a+expense-7 +a+expense-7"},
		"reject": {func(p async.Pending[Decision]) error {
			return p.Reject(ctx, temporal.NewApplicationError("no", "No", 1))
		},
			func(o completer.Outcome) string { return failed(o.Failure) }, "+a+expense-7 +a+expense-7"},
		"cancel": {func(p async.Pending[Decision]) error { return p.ReportCanceled(ctx, "why") },
			func(o completer.Outcome) string { return keyOf(o.Canceled.GetPayloads()[0]) }, "+a+expense-7"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tenants)
			w.completer.DescribeFunc = cancelRequested
			wantNil(t, c.do(pend[Decision](t, w)))
			if got := c.sent(w.wantSent(1)[0].Outcome); got != c.want {
				t.Errorf("encoded with the keys %q, want %q", got, c.want)
			}
		})
	}
}

// The hub encodes the details of a pump with the context that the pump got.
func TestPumpsDetailsGetItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		w, _ := newBeatWorld(t, tenants, probing(10*time.Second, func(ctx context.Context, _ heartbeat.Activity) (any, error) {
			return ctx.Value(tenant{}), nil
		}))
		w.completer.HeartbeatFunc = func(_ context.Context, _ completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
			keys = append(keys, keyOf(details.GetPayloads()[0]))
			return completer.Signals{}, nil
		}
		ctx, stop := context.WithCancel(ofTenant(t.Context(), "pump"))
		done := make(chan error, 1)
		go func() { done <- w.hub.Run(ctx) }()
		w.startNow(1, 30*time.Second, async.StartOptions{}, nil)
		pass(12 * time.Second)
		stop()
		<-done
		if got := strings.Join(keys, " "); got != "+pump+expense-7" {
			t.Errorf("the beats had details with the keys %q, want +pump+expense-7", got)
		}
	})
}

func TestHeartbeatGetsTheCallersContext(t *testing.T) {
	w := newWorld(t, tenants)
	p := pend[Decision](t, w)
	wantNil(t, p.Heartbeat(ofTenant(t.Context(), "a"), "half"))
	if got := string(w.record().Details); !strings.Contains(got, "+a+expense-7") {
		t.Errorf("the details are stored as %q, want them with the key +a+expense-7", got)
	}
}

// Start encodes an early result again for its activity, with the activity's
// context.
func TestStartEncodesWithTheActivitysContext(t *testing.T) {
	w := newWorld(t, tenants)
	p := w.openKey(async.KeyOptions{Namespace: "default", Early: time.Hour})
	wantNil(t, p.Complete(ofTenant(t.Context(), "a"), Decision{Approved: true}))
	if got := string(w.record().Outcome.Payload); !strings.Contains(got, "+a") {
		t.Errorf("the early result is stored as %q, want it with the caller's key", got)
	}
	ctx := ofTenant(t.Context(), "activity")
	err := async.StartAttempt(ctx, w.hub, run("w", 0), async.StartOptions{Key: "order-7"}, func(context.Context, async.Pending[Decision]) error {
		t.Error("asked, although the answer is there")
		return nil
	})
	if err != activity.ErrResultPending {
		t.Fatalf("Start returned %v", err)
	}
	if got := keyOf(w.wantSent(1)[0].Outcome.Result.GetPayloads()[0]); got != "+activity+w" {
		t.Errorf("delivered with the key %q, want +activity+w", got)
	}
}

// both is one type that converts both values and failures.
type both struct {
	converter.FailureConverter
	tenantConverter
}

func (c both) WithContext(ctx context.Context) converter.DataConverter {
	c.tenantConverter = c.tenantConverter.WithContext(ctx).(tenantConverter)
	c.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: c.tenantConverter, EncodeCommonAttributes: true})
	return c
}

func (c both) WithSerializationContext(converter.SerializationContext) converter.FailureConverter {
	return c
}

func TestOneTypeConvertsBoth(t *testing.T) {
	w := newWorld(t, func(o *async.Options) {
		o.FailureConverter = both{temporal.GetDefaultFailureConverter(), tenantConverter{DataConverter: converter.GetDefaultDataConverter()}}
	})
	wantNil(t, pend[Decision](t, w).Reject(ofTenant(t.Context(), "a"), errors.New("no")))
	if got := keyOf(w.wantSent(1)[0].Outcome.Failure.GetEncodedAttributes()); got != "+a" {
		t.Errorf("encoded with the key %q, want +a", got)
	}
}

// badContext is a converter whose WithContext fails in some way.
type badContext struct {
	converter.DataConverter
	with func() converter.DataConverter
}

func (c badContext) WithWorkflowContext(workflow.Context) converter.DataConverter { return c }
func (c badContext) WithContext(context.Context) converter.DataConverter          { return c.with() }

type badFailures struct {
	converter.FailureConverter
	with func() converter.FailureConverter
}

func (c badFailures) WithContext(context.Context) converter.FailureConverter { return c.with() }

// If WithContext of a converter panics or returns nil, the call returns an
// error and accepts nothing.
func TestWithContextFails(t *testing.T) {
	for name, change := range map[string]func(*async.Options){
		"data panics": func(o *async.Options) {
			o.DataConverter = badContext{converter.GetDefaultDataConverter(), func() converter.DataConverter { panic("the key of tenant-7") }}
		},
		"data nil": func(o *async.Options) {
			o.DataConverter = badContext{converter.GetDefaultDataConverter(), func() converter.DataConverter { return nil }}
		},
		"failure panics": func(o *async.Options) {
			o.FailureConverter = badFailures{temporal.GetDefaultFailureConverter(), func() converter.FailureConverter { panic("the key of tenant-7") }}
		},
		"failure nil": func(o *async.Options) {
			o.FailureConverter = badFailures{temporal.GetDefaultFailureConverter(), func() converter.FailureConverter { return nil }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change)
			w.completer.DescribeFunc = cancelRequested
			p := pend[Decision](t, w)
			for call, err := range map[string]error{
				"complete":  p.Complete(t.Context(), Decision{}),
				"fail":      p.Fail(t.Context(), errors.New("no")),
				"reject":    p.Reject(t.Context(), errors.New("no")),
				"cancel":    p.ReportCanceled(t.Context(), "why"),
				"heartbeat": p.Heartbeat(t.Context(), "half"),
			} {
				if err == nil || !strings.Contains(err.Error(), "WithContext") || !strings.Contains(err.Error(), "nothing was accepted") || strings.Contains(err.Error(), "tenant-7") {
					t.Errorf("%s: %v, want an error that names WithContext, and not what it panicked with", call, err)
				}
			}
			w.wantState(async.Waiting)
			w.wantSent(0)
		})
	}
}

// This test uses the smallest context-aware converter, through the package for
// applications' tests.
func TestContextAwareConverter(t *testing.T) {
	reports := new(asynctest.Completer)
	hub := asynctest.NewHub(t, async.Options{Completer: reports, DataConverter: tenantConverter{DataConverter: converter.GetDefaultDataConverter()}})
	var id string
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	act := func(ctx context.Context) (Decision, error) {
		return async.Start(ctx, hub, async.StartOptions{}, func(_ context.Context, p async.Pending[Decision]) error { id = p.ID(); return nil })
	}
	env.RegisterActivityWithOptions(act, activity.RegisterOptions{Name: "Await"})
	if _, err := env.ExecuteActivity("Await"); err != activity.ErrResultPending {
		t.Fatalf("the activity returned %v", err)
	}
	ctx := ofTenant(t.Context(), "tenant-a")
	p, err := async.Open[Decision](ctx, hub, id)
	wantNil(t, err)
	wantNil(t, p.Complete(ctx, Decision{Approved: true}))
	if got := keyOf(reports.Completed()[0].Outcome.Result.Payloads[0]); !strings.HasPrefix(got, "+tenant-a+") {
		t.Errorf("the result was encoded with the key %q, want that of tenant-a, which client.CompleteActivity(ctx, …) takes", got)
	}
}
