package async_test

import (
	"errors"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async"
)

// keyServer is a codec that depends on a service, which is sometimes
// unavailable.
type keyServer struct {
	reverse
	noEncode, noDecode bool
}

var errKeyServer = errors.New("key server away")

func (k *keyServer) Encode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if k.noEncode {
		return nil, errKeyServer
	}
	return k.reverse.Encode(ps)
}

func (k *keyServer) Decode(ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if k.noDecode {
		return nil, errKeyServer
	}
	return k.reverse.Decode(ps)
}

// A result arrived before its activity and cannot be encoded for the activity
// now. The attempt fails, and the next attempt gets the result. The result is
// not lost, and no function runs.
func TestEarlyResultThatCannotBeEncodedNow(t *testing.T) {
	early := async.KeyOptions{Namespace: "default", Early: time.Hour}
	for name, breaks := range map[string]func(k *keyServer){
		"not encoded": func(k *keyServer) { k.noEncode = true },
		"not decoded": func(k *keyServer) { k.noDecode = true },
	} {
		t.Run(name, func(t *testing.T) {
			codec := new(keyServer)
			data := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codec)
			w := newWorld(t, func(o *async.Options) { o.DataConverter = data })
			wantNil(t, w.openKey(early).Complete(t.Context(), Decision{Reason: "x"}))
			before, _ := w.stored()
			breaks(codec)
			next := run("w", 0)
			asked, err := w.keyedStart(next, async.StartOptions{})
			var app *temporal.ApplicationError
			switch {
			case err == nil, err == activity.ErrResultPending, errors.As(err, &app):
				t.Errorf("Start returned %v, want an error that is retried", err)
			case asked != "":
				t.Error("asked, although there is a result")
			}
			if after, _ := w.stored(); after.Version != before.Version {
				t.Error("the entry was written")
			}
			w.wantSent(0)

			codec.noEncode, codec.noDecode = false, false
			next.StartedTime, next.TaskToken = next.StartedTime.Add(time.Second), []byte("second")
			if asked, err := w.keyedStart(next, async.StartOptions{}); asked != "" || err != activity.ErrResultPending {
				t.Errorf("the next attempt asked with %q, and returned %v", asked, err)
			}
			call := w.wantSent(1)[0]
			if string(call.Target.TaskToken) != "second" {
				t.Errorf("sent to %v", call.Target)
			}
			var got Decision
			if err := data.FromPayloads(call.Outcome.Result, &got); err != nil || got.Reason != "x" {
				t.Errorf("sent %+v: %v", got, err)
			}
			w.wantState(async.Closed)
		})
	}
}
