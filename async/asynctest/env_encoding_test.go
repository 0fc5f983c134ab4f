package asynctest_test

import (
	"context"
	"errors"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
)

// reverse is a codec that reverses the bytes of each payload.
type reverse struct{}

func (reverse) Encode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return flip(ps, "reversed")
}

func (reverse) Decode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) { return flip(ps, "") }

func flip(ps []*commonpb.Payload, mark string) ([]*commonpb.Payload, error) {
	flipped := make([]*commonpb.Payload, 0, len(ps))
	for _, p := range ps {
		if (string(p.Metadata["codec"]) == "reversed") == (mark != "") {
			return nil, errors.New("encoded twice, or not at all")
		}
		data := make([]byte, 0, len(p.Data))
		for i := range p.Data {
			data = append(data, p.Data[len(p.Data)-1-i])
		}
		flipped = append(flipped, &commonpb.Payload{Data: data, Metadata: map[string][]byte{
			"encoding": p.Metadata["encoding"], "codec": []byte(mark),
		}})
	}
	return flipped, nil
}

// TestEnvCodec: the environment applies its codec to the outcome that the hub
// has encoded.
func TestEnvCodec(t *testing.T) {
	d := newDesk(t)
	d.env.SetDataConverter(converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), reverse{}))
	d.after(day, func(ctx context.Context) { wantIs(t, "Complete", d.open().Complete(ctx, Reply{"yes"}), nil) })
	d.env.ExecuteWorkflow(d.One)
	if r := d.result(); r.Text != "yes" {
		t.Errorf("the workflow read %+v", r)
	}
}

// TestEnvFailureConverter: the environment gets a failure as the hub has
// encoded it, and the hub's own copy does not change.
func TestEnvFailureConverter(t *testing.T) {
	encoding := temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{EncodeCommonAttributes: true})
	d := newDesk(t)
	d.env.SetFailureConverter(encoding)
	f := encoding.ErrorToFailure(temporal.NewApplicationError("declined", "Declined"))
	before := proto.CloneOf(f)
	if f.GetEncodedAttributes() == nil || f.GetMessage() == "declined" {
		t.Fatalf("the failure isn't encoded: %v", f)
	}
	d.after(day, func(ctx context.Context) {
		wantIs(t, "Complete", d.completer.Complete(ctx, d.target(d.open().Callback), completer.Outcome{Failure: f, Mark: "f"}), nil)
	})
	d.env.ExecuteWorkflow(d.One)
	if failed, ok := errors.AsType[*temporal.ApplicationError](d.env.GetWorkflowError()); !ok || failed.Message() != "declined" || failed.Type() != "Declined" {
		t.Errorf("the workflow ended with %v", d.env.GetWorkflowError())
	}
	if !proto.Equal(f, before) {
		t.Errorf("the outcome was changed: %v, it was %v", f, before)
	}
}
