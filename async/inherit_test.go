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

// keyServer is a codec that is a service of its own, and away at times.
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

// bindingFailures is a failure converter that knows contexts.
type bindingFailures struct{ converter.FailureConverter }

func (b bindingFailures) WithSerializationContext(converter.SerializationContext) converter.FailureConverter {
	return b
}

// An answer came before its activity, and can't be encoded for it now: that
// attempt fails, and the next one has the answer. Nothing is lost or asked.
func TestInheritedAnswerThatCannotBeEncodedNow(t *testing.T) {
	early := async.KeyOptions{Namespace: "default", Early: time.Hour}
	complete := func(p async.Pending[Decision]) error { return p.Complete(t.Context(), Decision{Reason: "x"}) }
	fail := func(p async.Pending[Decision]) error {
		return p.Fail(t.Context(), temporal.NewApplicationError("no", "No"))
	}
	failInDetail := func(p async.Pending[Decision]) error {
		return p.Fail(t.Context(), temporal.NewApplicationError("no", "No", "x"))
	}
	noEncode := func(k *keyServer) { k.noEncode = true }
	noDecode := func(k *keyServer) { k.noDecode = true }
	for name, c := range map[string]struct {
		answer func(p async.Pending[Decision]) error
		breaks func(k *keyServer)
		clear  bool // messages are not encoded
		byRun  bool // an earlier run's, which was not delivered
	}{
		"a result, not encoded":                   {complete, noEncode, false, false},
		"a result, not decoded":                   {complete, noDecode, false, false},
		"a failure, not encoded":                  {fail, noEncode, false, false},
		"a failure, not decoded":                  {fail, noDecode, false, false},
		"a failure's details, not encoded":        {failInDetail, noEncode, true, false},
		"a failure's details, not decoded":        {failInDetail, noDecode, true, false},
		"a result of an earlier run, not encoded": {complete, noEncode, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			codec := new(keyServer)
			data := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codec)
			failures := bindingFailures{temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: data, EncodeCommonAttributes: !c.clear})}
			w := newWorld(t, func(o *async.Options) { o.DataConverter, o.FailureConverter = data, failures })
			next := run("w", 0)
			if c.byRun {
				w.mustKeyed(next)
				w.completer.CompleteFunc = unavailable
				wantNil(t, c.answer(w.openKey(byKey)))
				w.completer.CompleteFunc = nil
				w.describes(async.Status{End: async.EndTimedOut})
				next = run("w", 1)
			} else {
				wantNil(t, c.answer(w.openKey(early)))
			}
			before, _ := w.stored()
			c.breaks(codec)
			asked, err := w.keyedStart(next, async.StartOptions{})
			var app *temporal.ApplicationError
			switch {
			case err == nil, err == activity.ErrResultPending, errors.As(err, &app):
				t.Errorf("Start returned %v, want an error that is retried", err)
			case asked != "":
				t.Error("asked, although there is an answer")
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
			if f := call.Outcome.Failure; f != nil {
				var detail string
				if mark := async.FailureMark(f); mark != call.Outcome.Mark {
					t.Errorf("sent with the mark %q, want %q", mark, call.Outcome.Mark)
				}
				if !errors.As(failures.FailureToError(f), &app) || app.Message() != "no" || app.Type() != "No" || c.clear && (app.Details(&detail) != nil || detail != "x") {
					t.Errorf("sent %v with detail %q", app, detail)
				}
			} else {
				var got Decision
				if err := data.FromPayloads(call.Outcome.Result, &got); err != nil || got.Reason != "x" {
					t.Errorf("sent %+v: %v", got, err)
				}
			}
			w.wantState(async.Closed)
		})
	}
}
