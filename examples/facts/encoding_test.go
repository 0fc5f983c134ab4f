package facts

import (
	"fmt"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// codec wraps a payload in another payload. A bound codec decodes only payloads
// of the same activity type, as a codec that encrypts with additional data
// does.
type codec struct {
	bound        bool
	activityType string
}

const wrapped = "binary/wrapped"

func (c codec) WithSerializationContext(sc converter.SerializationContext) converter.PayloadCodec {
	if a, ok := sc.(converter.ActivitySerializationContext); ok && c.bound {
		c.activityType = a.ActivityType
	}
	return c
}

func (c codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		b, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		out[i] = &commonpb.Payload{Data: b, Metadata: map[string][]byte{
			converter.MetadataEncoding: []byte(wrapped), "for": []byte(c.activityType),
		}}
	}
	return out, nil
}

func (c codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		out[i] = p
		if string(p.GetMetadata()[converter.MetadataEncoding]) != wrapped {
			continue
		}
		if made := string(p.GetMetadata()["for"]); made != c.activityType {
			return nil, fmt.Errorf("made for %q, opened for %q", made, c.activityType)
		}
		out[i] = new(commonpb.Payload)
		if err := proto.Unmarshal(p.GetData(), out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// newRigWithOptions is newRig with a client that uses the given options.
func newRigWithOptions(t *testing.T, o client.Options) *rig.Rig {
	t.Helper()
	return rig.New(t, rig.Options{Client: server.Dial(t, o), Register: func(w worker.Registry) {
		w.RegisterWorkflow(awaitDecision)
	}})
}

// withOptions completes by token with the full serialization context.
func withOptions(r *rig.Rig, c client.Client, info activity.Info, result any) error {
	return c.CompleteActivityWithOptions(r.Context(), client.CompleteActivityOptions{
		TaskToken: info.TaskToken, Result: result,
		WorkflowID: info.WorkflowExecution.ID, WorkflowType: info.WorkflowType.Name,
		ActivityType: info.ActivityType.Name, TaskQueue: info.TaskQueue,
	})
}

// derive creates a client on the same connection that leaves payloads
// unchanged, and otherwise equals the application's client.
func derive(t *testing.T, c client.Client, o client.Options) client.Client {
	t.Helper()
	o.DataConverter, o.Logger = nil, quiet
	derived, err := client.NewClientFromExisting(c, o)
	if err != nil {
		t.Fatalf("derive a client: %v", err)
	}
	t.Cleanup(derived.Close)
	return derived
}

// A client sends a stored, already encoded payload. The codec encodes it a
// second time (RawValue skips conversion, but not codecs), and the workflow
// fails. A payload that was stored without the codec's encoding must be sent
// through the client. A payload that was stored with this encoding must be sent
// through the raw service or a derived client.
func TestStoredPayload(t *testing.T) {
	t.Parallel()
	before, err := converter.GetDefaultDataConverter().ToPayload(approved)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := codec{}.Encode([]*commonpb.Payload{before})
	if err != nil {
		t.Fatal(err)
	}
	after := encoded[0]
	o := client.Options{Namespace: "default", DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codec{})}
	r := newRigWithOptions(t, o)
	derived := derive(t, r.Client, o)
	for name, c := range map[string]struct {
		send  func(info activity.Info) error
		fails bool
	}{
		"encoded, through the client": {func(info activity.Info) error {
			return withOptions(r, r.Client, info, converter.NewRawValue(after))
		}, true},
		"not encoded, through the client": {func(info activity.Info) error {
			return withOptions(r, r.Client, info, converter.NewRawValue(before))
		}, false},
		"encoded, through the service": {func(info activity.Info) error { return respond(r, info, after) }, false},
		"encoded, through a derived client": {func(info activity.Info) error {
			return withOptions(r, derived, info, converter.NewRawValue(after))
		}, false},
	} {
		run := r.Start(awaitDecision, patient())
		wantNil(t, name, c.send(r.Next()))
		var got decision
		err := run.Get(r.Context(), &got)
		if failed := err != nil; failed != c.fails || !failed && got != approved {
			t.Errorf("%s: the workflow read %+v, %v; want it to fail: %v", name, got, err, c.fails)
		}
	}
}

// respond completes with the raw call and an unchanged payload.
func respond(r *rig.Rig, info activity.Info, p *commonpb.Payload) error {
	_, err := r.Service().RespondActivityTaskCompleted(r.Context(), &workflowservice.RespondActivityTaskCompletedRequest{
		Namespace: r.Namespace, TaskToken: info.TaskToken, Identity: ours, Result: &commonpb.Payloads{Payloads: []*commonpb.Payload{p}},
	})
	return err
}

// Only the …WithOptions calls carry the serialization context. The workflow
// cannot read a payload that a bound codec encoded without that context.
func TestSerializationContext(t *testing.T) {
	t.Parallel()
	r := newRigWithOptions(t, client.Options{
		DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codec{bound: true}),
	})
	run := r.Start(awaitDecision, patient())
	wantNil(t, "without", r.Client.CompleteActivity(r.Context(), r.Next().TaskToken, approved, nil))
	if err := run.Get(r.Context(), nil); err == nil {
		t.Error("completed without the context, the workflow ended well, want it to fail on decoding")
	}
	run = r.Start(awaitDecision, patient())
	wantNil(t, "by ID, without", completeByID(r, r.Next(), approved, nil))
	if err := run.Get(r.Context(), nil); err == nil {
		t.Error("completed by ID without the context, the workflow ended well, want it to fail on decoding")
	}
	run = r.Start(awaitDecision, patient())
	wantNil(t, "with", withOptions(r, r.Client, r.Next(), approved))
	if got := result[decision](t, r, run); got != approved {
		t.Errorf("the workflow read %+v, want %+v", got, approved)
	}
}

// A failure is stored, and the application's client sends it again as an error.
// If a cancellation is among its causes, it is sent as a cancellation, refused,
// and lost.
func TestStoredFailureWithCancellation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	failures := temporal.GetDefaultFailureConverter()
	stored := failures.ErrorToFailure(temporal.NewApplicationErrorWithCause("ask the bank", "", temporal.NewCanceledError()))
	run := r.Start(awaitDecision, patient())
	info := r.Next()
	if err := r.Client.CompleteActivity(r.Context(), info.TaskToken, nil, failures.FailureToError(stored)); err == nil {
		t.Error("the stored failure: nil, want it refused as a cancellation")
	}
	if p := r.Pending(run); p == nil || p.GetLastFailure() != nil {
		t.Errorf("pending: %v, want the failure lost", p)
	}
}
