package async_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// No printed, logged or returned text contains a token, a payload or a whole
// callback ID.
func TestNothingLeaks(t *testing.T) {
	const payload = "the-payload-itself"
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	p := w.open(id)
	callback, _ := record.ParseCallbackID(id)
	secret := callback.Secret()

	var shown strings.Builder
	show := func(v any) {
		fmt.Fprintf(&shown, "%v\n%+v\n%#v\n%s\n", v, v, v, v)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "v", v)
		b, _ := json.Marshal(v)
		shown.Write(b)
	}
	show(p)
	show(p.Callback)
	show(&p)
	show(p.Info())
	inside := struct{ mine async.Pending[Decision] }{p} // fmt calls no methods of this unexported field
	fmt.Fprintf(&shown, "%v %+v %#v", inside, inside, inside)
	// The cases are every way to deliver an outcome, with every error.
	for _, answer := range []error{completer.ErrOver, errors.New("away"), completer.ErrRefused, nil} {
		v := newWorld(t)
		v.completer.CompleteFunc = func(_ context.Context, tg completer.Target, o completer.Outcome) error {
			show(tg)
			show(o)
			return answer
		}
		v.completer.DescribeFunc = func(context.Context, completer.Target, string) (completer.Status, error) {
			s := completer.Status{End: completer.EndOther, Details: &commonpb.Payloads{Payloads: []*commonpb.Payload{{Data: []byte(payload)}}}}
			show(s)
			return s, nil
		}
		q := v.open(v.start(1, async.StartOptions{}))
		show(q.Fail(t.Context(), errors.New(payload)))
		show(q.Complete(t.Context(), Decision{Reason: payload}))
		show(q.ReportCanceled(t.Context(), payload))
		_, err := async.Open[int](t.Context(), v.hub, q.ID())
		show(err)
		if strings.Contains(shown.String()+v.logs.String(), q.ID()[32:]) {
			t.Errorf("a secret is shown where Temporal answers %v", answer)
		}
		shown.WriteString(v.logs.String())
	}
	_, err := w.hub.Open(t.Context(), id[:53]+"!")
	show(err)
	wantNil(t, w.store.Close())
	show(p.Complete(t.Context(), Decision{Reason: payload}))

	all := shown.String() + w.logs.String()
	for what, leak := range map[string]string{
		"callback ID":    id,
		"secret":         id[32:],
		"raw secret":     string(secret),
		"token":          "token-1",
		"token's hex":    fmt.Sprintf("%x", "token-1"),
		"token's bytes":  strings.Trim(fmt.Sprint([]byte("token-1")), "[]"),
		"token's base64": base64.StdEncoding.EncodeToString([]byte("token-1")),
		"payload":        payload,
	} {
		if i := strings.Index(all, leak); i >= 0 {
			t.Errorf("the %s is shown: …%s…", what, all[max(0, i-80):min(len(all), i+80)])
		}
	}
	if !strings.Contains(all, async.ShortID(id)) {
		t.Error("the shortened ID is nowhere: nothing could be found by it")
	}
}

// The store holds tokens in clear text, as the documentation says. If this test
// fails, change the documentation.
func TestStoreHoldsTheTokenInClear(t *testing.T) {
	w := newWorld(t)
	w.start(1, async.StartOptions{})
	var e store.Entry
	e, _ = w.stored()
	if !bytes.Contains(e.Body, []byte("token-1")) {
		t.Error("the token isn't in the entry")
	}
}
