package answers

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// sealed is a codec that binds payloads to the activity. Like an encrypting
// codec, it never makes the same bytes twice.
type sealed struct{ bound string }

const wrapped = "binary/sealed"

func (c sealed) WithSerializationContext(sc converter.SerializationContext) converter.PayloadCodec {
	if a, ok := sc.(converter.ActivitySerializationContext); ok {
		c.bound = strings.Join([]string{a.Namespace, a.WorkflowID, a.WorkflowType, a.ActivityType, a.TaskQueue}, "/")
	}
	return c
}

func (c sealed) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		b, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		out[i] = &commonpb.Payload{Data: b, Metadata: map[string][]byte{
			converter.MetadataEncoding: []byte(wrapped), "bound": []byte(c.bound), "nonce": []byte(rand.Text()),
		}}
	}
	return out, nil
}

func (c sealed) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if out[i] = p; string(p.GetMetadata()[converter.MetadataEncoding]) != wrapped {
			continue
		}
		if bound := string(p.GetMetadata()["bound"]); bound != c.bound {
			return nil, fmt.Errorf("sealed for %q, opened for %q", bound, c.bound)
		}
		out[i] = new(commonpb.Payload)
		if err := proto.Unmarshal(p.GetData(), out[i]); err != nil {
			return nil, err
		}
		if string(out[i].GetMetadata()[converter.MetadataEncoding]) == wrapped {
			return nil, errors.New("sealed twice")
		}
	}
	return out, nil
}

func sealing() client.Options {
	data := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), sealed{})
	return client.Options{
		DataConverter: data,
		FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
			DataConverter: data, EncodeCommonAttributes: true,
		}),
	}
}

// binding is a failure converter that uses its serialization context. The SDK's
// own failure converter does not use it.
type binding struct {
	converter.FailureConverter
	data converter.DataConverter
}

func newBinding(data converter.DataConverter) binding {
	return binding{data: data, FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: data, EncodeCommonAttributes: true,
	})}
}

func (b binding) WithSerializationContext(sc converter.SerializationContext) converter.FailureConverter {
	return newBinding(converter.WithDataConverterSerializationContext(b.data, sc))
}

// sealingAll is sealing, with failures that are bound to their activity too.
// Only the workflow can read such failures, because the SDK passes them on
// unchanged.
func sealingAll() client.Options {
	o := sealing()
	o.FailureConverter = newBinding(o.DataConverter)
	return o
}

func TestCodecRunsOnceInTheActivitysContext(t *testing.T) {
	w := newWorld(t, config{client: sealing()})
	run := w.Start(awaitDecision, patient())
	p := w.next()
	must(t, p.Complete(w.Context(), approved))
	must(t, p.Complete(w.Context(), approved)) // different bytes of the same answer
	wantErr(t, p.Complete(w.Context(), Decision{}), async.ErrSettled)
	w.wantResult(run, approved)
}

func TestCodecOfFailures(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"small": temporal.NewApplicationError("the reason", "No", "detail"),
		"large": temporal.NewApplicationError("the reason "+strings.Repeat("x", 3<<20), "No"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, config{client: sealing()})
			run := w.Start(awaitDecision, patient())
			must(t, w.next().Reject(w.Context(), err))
			got := asFailed(t, run.Get(w.Context(), nil))
			if !strings.HasPrefix(got.Error(), "the reason") || got.Type() != "No" {
				t.Errorf("the workflow got %.100v", got)
			}
			failed := w.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_FAILED).GetActivityTaskFailedEventAttributes().GetFailure()
			if strings.Contains(failed.GetMessage(), "reason") {
				t.Error("the message is in clear in history")
			}
		})
	}
}

// readFailure registers a workflow that returns the failure of its activity, as
// the workflow reads it.
func readFailure(_ *world, r worker.Registry) {
	r.RegisterWorkflowWithOptions(func(ctx workflow.Context) (string, error) {
		err := await(ctx, patient(), rig.Activity).Get(ctx, nil)
		app, ok := errors.AsType[*temporal.ApplicationError](err)
		var detail string
		if !ok || app.HasDetails() && app.Details(&detail) != nil {
			return fmt.Sprintf("something else: %v", err), nil
		}
		return fmt.Sprintf("%s: %s (%s)", app.Type(), app.Message(), detail), nil
	}, workflow.RegisterOptions{Name: "readFailure"})
}

func TestFailureIsEncodedInTheActivitysContext(t *testing.T) {
	reason := temporal.NewApplicationError("the reason", "No", "detail")
	w := newWorld(t, config{client: sealingAll(), register: readFailure})
	run := w.Start("readFailure")
	must(t, w.next().Reject(w.Context(), reason))
	var got string
	if err := run.Get(w.Context(), &got); err != nil || got != "No: the reason (detail)" {
		t.Errorf("the workflow read %q, %v, want the reason", got, err)
	}
}

// upper is a data converter of an application.
type upper struct{ converter.DataConverter }

func (u upper) ToPayload(v any) (*commonpb.Payload, error) {
	p, err := u.DataConverter.ToPayload(v)
	if err == nil && p != nil {
		p.Metadata["by"] = []byte("upper")
	}
	return p, err
}

func (u upper) ToPayloads(vs ...any) (*commonpb.Payloads, error) {
	ps := new(commonpb.Payloads)
	for _, v := range vs {
		p, err := u.ToPayload(v)
		if err != nil {
			return nil, err
		}
		ps.Payloads = append(ps.Payloads, p)
	}
	return ps, nil
}

func (u upper) FromPayloads(ps *commonpb.Payloads, to ...any) error {
	for _, p := range ps.GetPayloads() {
		if string(p.GetMetadata()["by"]) != "upper" {
			return errors.New("not by the application's converter")
		}
	}
	return u.DataConverter.FromPayloads(ps, to...)
}

func TestCustomDataConverter(t *testing.T) {
	w := newWorld(t, config{client: client.Options{DataConverter: upper{converter.GetDefaultDataConverter()}}})
	run := w.Start(awaitDecision, patient())
	must(t, w.next().Complete(w.Context(), approved))
	w.wantResult(run, approved)
}

func TestExternalStorage(t *testing.T) {
	w := newWorld(t, config{
		client: client.Options{ExternalStorage: converter.ExternalStorage{Drivers: []converter.StorageDriver{new(rig.Storage)}}},
		hub:    func(o *async.Options) { o.BlobLimit = 3584 << 10 },
	})
	run := w.Start(awaitDecision, patient())
	large := Decision{Approved: true, By: strings.Repeat("x", 3<<20)}
	must(t, w.next().Complete(w.Context(), large))
	w.wantResult(run, large)
	completed := w.Event(run, enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED).GetActivityTaskCompletedEventAttributes()
	if size := proto.Size(completed.GetResult()); size > 1<<10 {
		t.Errorf("%d bytes in history, want a reference", size)
	}
}
