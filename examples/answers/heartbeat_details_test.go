package answers

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/examples/internal/rig"
)

// encrypting is a codec that encrypts payloads, and does not bind them to the
// activity.
type encrypting struct{ aead cipher.AEAD }

func newEncrypting(t *testing.T) encrypting {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	must(t, err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	must(t, err)
	return encrypting{aead}
}

func (c encrypting) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		b, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		out[i] = &commonpb.Payload{
			Data:     c.aead.Seal(nil, nil, b, nil),
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte("binary/encrypted")},
		}
	}
	return out, nil
}

func (c encrypting) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		b, err := c.aead.Open(nil, nil, p.GetData(), nil)
		if err != nil {
			return nil, err
		}
		out[i] = new(commonpb.Payload)
		if err := proto.Unmarshal(b, out[i]); err != nil {
			return nil, err
		}
		if string(out[i].GetMetadata()[converter.MetadataEncoding]) == "binary/encrypted" {
			return nil, errors.New("encrypted twice")
		}
	}
	return out, nil
}

// codecs are the ways to encode details.
func codecs(t *testing.T) map[string]client.Options {
	t.Helper()
	return map[string]client.Options{
		"clear":     {},
		"encrypted": {DataConverter: converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), newEncrypting(t))},
		"bound":     sealing(),
	}
}

// found contains the details that an attempt finds.
type found struct {
	attempt int32
	details string
	err     error
}

// resuming makes each attempt report the details that it finds, and record the
// details that the test sets.
func resuming(record string) (finds chan found, during func(ctx context.Context, w *world, p async.Pending[Decision]) error) {
	finds = make(chan found, 100)
	return finds, func(ctx context.Context, _ *world, _ async.Pending[Decision]) error {
		f := found{attempt: activity.GetInfo(ctx).Attempt}
		if activity.HasHeartbeatDetails(ctx) {
			f.err = activity.GetHeartbeatDetails(ctx, &f.details)
		}
		if f.attempt == 1 && record != "" {
			activity.RecordHeartbeat(ctx, record)
		}
		finds <- f
		return nil
	}
}

func wantFound(t *testing.T, finds <-chan found, want found) {
	t.Helper()
	select {
	case got := <-finds:
		if got != want {
			t.Errorf("attempt %d found the details %.50q, %v, want attempt %d and %.50q", got.attempt, got.details, got.err, want.attempt, want.details)
		}
	case <-rig.Context(t).Done():
		t.Fatalf("attempt %d has not begun", want.attempt)
	}
}

// beats waits until the server has accepted n more beats.
func (w *world) beats(run client.WorkflowRun, n int) *workflowpb.PendingActivityInfo {
	w.t.Helper()
	last := w.Pending(run).GetLastHeartbeatTime().AsTime()
	return w.AwaitPending(run, "beats", func(p *workflowpb.PendingActivityInfo) bool {
		if at := p.GetLastHeartbeatTime().AsTime(); at.After(last) {
			last = at
			n--
		}
		return n <= 0
	})
}

// detailed waits until the server has these details.
func (w *world) detailed(run client.WorkflowRun, o client.Options, want string) {
	w.t.Helper()
	data := o.DataConverter
	if data == nil {
		data = converter.GetDefaultDataConverter()
	}
	data = converter.WithDataConverterSerializationContext(data, converter.ActivitySerializationContext{
		Namespace: w.Namespace, WorkflowID: run.GetID(), WorkflowType: "awaitDecision", ActivityType: rig.Activity, TaskQueue: w.Queue,
	})
	w.AwaitPending(run, "the details "+want, func(p *workflowpb.PendingActivityInfo) bool {
		var got string
		return p.GetHeartbeatDetails() != nil && data.FromPayloads(p.GetHeartbeatDetails(), &got) == nil && got == want
	})
}

// again returns options with a heartbeat timeout, with which a failed attempt
// is retried at once.
func again(timeout time.Duration) workflow.ActivityOptions {
	o := quick()
	o.HeartbeatTimeout = timeout
	return o
}

// beatingAs returns the options of a hub that heartbeats, with the encoding of
// o.
func beatingAs(o client.Options) func(*async.Options) {
	return func(to *async.Options) {
		beatingHub(nil)(to)
		to.DataConverter, to.FailureConverter = o.DataConverter, o.FailureConverter
	}
}

// Details that the function recorded survive the beats, which carry none of
// their own.
func TestRecordedDetailsOutliveBeats(t *testing.T) {
	t.Parallel()
	for name, o := range codecs(t) {
		t.Run(name, func(t *testing.T) {
			finds, during := resuming("job 42")
			w := newWorld(t, config{client: o, during: during})
			run := w.Start(awaitDecision, again(often))
			p := w.next()
			wantFound(t, finds, found{attempt: 1})
			runHub(t, w.another(beatingAs(o)))
			w.beats(run, 3)
			must(t, p.Heartbeat(w.Context())) // has no details either
			w.beats(run, 2)
			must(t, p.Fail(w.Context(), errBroken))
			wantFound(t, finds, found{attempt: 2, details: "job 42"})
			p = w.next()
			w.beats(run, 2) // the beats belong to an attempt that records nothing
			must(t, p.Fail(w.Context(), errBroken))
			wantFound(t, finds, found{attempt: 3, details: "job 42"})
		})
	}
}

// Details of the external system reach the server and the next attempt, and replace
// those that the function recorded.
func TestBroughtDetailsReachTheNextAttempt(t *testing.T) {
	t.Parallel()
	for name, o := range codecs(t) {
		t.Run(name, func(t *testing.T) {
			finds, during := resuming("job 42")
			w := newWorld(t, config{client: o, during: during})
			run := w.Start(awaitDecision, again(often))
			p := w.next()
			wantFound(t, finds, found{attempt: 1})
			runHub(t, w.another(beatingAs(o)))
			must(t, p.Heartbeat(w.Context(), "a third"))
			must(t, p.Heartbeat(w.Context(), "half"))
			w.detailed(run, o, "half")
			must(t, p.Heartbeat(w.Context())) // erases nothing
			w.beats(run, 2)
			w.detailed(run, o, "half")
			must(t, p.Fail(w.Context(), errBroken))
			wantFound(t, finds, found{attempt: 2, details: "half"})
		})
	}
}

// The last details arrive before the outcome does, although no hub runs.
func TestLastDetailsArriveBeforeTheFailure(t *testing.T) {
	t.Parallel()
	for kind, start := range kinds {
		t.Run(kind, func(t *testing.T) {
			finds, during := resuming("")
			w := newWorld(t, config{during: during})
			a := start(w, often, 1)
			wantFound(t, finds, found{attempt: 1})
			must(t, a.p.Heartbeat(w.Context(), "nine tenths"))
			must(t, a.p.Fail(w.Context(), errBroken))
			wantFound(t, finds, found{attempt: 2, details: "nine tenths"})
		})
	}
}

// No hub heartbeats any more, and the attempt times out. The next attempt
// resumes from the details.
func TestDetailsOutliveATimeout(t *testing.T) {
	finds, during := resuming("")
	w := newWorld(t, config{during: during})
	run := w.Start(awaitDecision, again(often))
	p := w.next()
	wantFound(t, finds, found{attempt: 1})
	ctx, stop := context.WithCancelCause(w.Context())
	ended := make(chan error, 1)
	hub := w.another(beatingHub(nil))
	go func() { ended <- hub.Run(ctx) }()
	must(t, p.Heartbeat(w.Context(), "half"))
	w.detailed(run, client.Options{}, "half")
	stop(errStop)
	wantErr(t, <-ended, errStop)
	wantFound(t, finds, found{attempt: 2, details: "half"})
	if q := w.next(); q.ID() != p.ID() {
		t.Error("an attempt without an outcome began a round")
	}
}

// Temporal would fail the activity permanently because of these details.
func TestDetailsOverTheLimitAreRefused(t *testing.T) {
	finds, during := resuming("")
	w := newWorld(t, config{during: during})
	run := w.Start(awaitDecision, again(5*time.Minute)) // large details take time while other tests run
	p := w.next()
	wantFound(t, finds, found{attempt: 1})
	runHub(t, w.another(func(o *async.Options) {
		beatingHub(nil)(o)
		o.ClaimTime = time.Minute // and so do calls with them
	}))
	must(t, p.Heartbeat(w.Context(), "half"))
	err := p.Heartbeat(w.Context(), strings.Repeat("x", 2<<20))
	wantErr(t, err, async.ErrTooLarge)
	if err != nil && len(err.Error()) > 1<<10 {
		t.Errorf("the error has %d bytes: it has the details in it", len(err.Error()))
	}
	w.beats(run, 2)
	w.detailed(run, client.Options{}, "half")
	// The value has the largest size: the limit is the server's limit.
	largest := strings.Repeat("x", 2<<20-100)
	must(t, p.Heartbeat(w.Context(), largest))
	w.beats(run, 2)
	w.wantPending(run, 1)
	must(t, p.Fail(w.Context(), errBroken))
	wantFound(t, finds, found{attempt: 2, details: largest})
}
