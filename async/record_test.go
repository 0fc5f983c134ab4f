package async_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

var update = flag.Bool("update", false, "write testdata/ anew for this release")

// full is a record with every field set.
func full() *record.Record {
	return &record.Record{
		Namespace: "default", WorkflowId: "expense-7", WorkflowType: "Expense", RunId: "run-1",
		ActivityId: "5", ActivityType: "Approve", ActivityRunId: "arun-1", TaskQueue: "expenses",
		Scheduled: scheduled.UnixNano(), Attempt: 2, Started: scheduled.UnixNano() + 1, TaskToken: []byte("token"),
		Deadline: scheduled.UnixNano() + 2, HeartbeatTimeout: 3, HandedOffStarted: scheduled.UnixNano() + 1,
		State: record.Closed, ResultType: "expenses.Decision", Secret: bytes.Repeat([]byte{7}, 16),
		Rounds:    []*record.Round{{CallbackDigest: []byte("digest"), Fingerprint: []byte("print"), Kind: record.Failure}},
		Once:      true,
		Reference: "job-3",
		Labels:    map[string]string{"team": "travel"},
		Created:   scheduled.UnixNano() + 4,
		Outcome: &record.Outcome{
			Kind: record.Result, Payload: []byte{}, Mark: "rABCDEFGHIJKLM", Fingerprint: []byte("print2"),
			Settled: scheduled.UnixNano() + 5, Started: scheduled.UnixNano() + 1, NonRetryable: true, Outrun: true, Gone: true,
		},
		Delivery:        &record.Delivery{Delivered: true, Tries: 2, LastError: "unavailable", Next: scheduled.UnixNano() + 9, RefusalReported: scheduled.UnixNano() + 16},
		Ended:           scheduled.UnixNano() + 6,
		End:             record.EndDelivered,
		CancelRequested: true,
		Key:             "order-7",
		Early:           true,
		NextQuestion:    scheduled.UnixNano() + 7,
		Questions:       1,
		Notices: []*record.Notice{{
			Kind: record.NoticeOver, Reason: record.EndTypeMismatch, Secret: bytes.Repeat([]byte{8}, 16),
			Reference: "job-2", Outcome: record.Result,
		}},
		NextNotice:          scheduled.UnixNano() + 8,
		NoticeTries:         2,
		Pump:                "probe",
		Details:             []byte("details"),
		BeatPendingSince:    scheduled.UnixNano() + 10,
		LastBeat:            scheduled.UnixNano() + 11,
		NextBeat:            scheduled.UnixNano() + 12,
		BeatTries:           3,
		DetailsReadStarted:  scheduled.UnixNano() + 13,
		TokenLostStarted:    scheduled.UnixNano() + 14,
		Paused:              true,
		ResetRequested:      true,
		DetailsPendingSince: scheduled.UnixNano() + 15,
		ServerDetailsDigest: []byte("digest"),
		Carry:               map[string]string{"traceparent": "00-1-2-01"}, RoundBegan: 1796022120668026402,
		Notes: []*record.Note{{At: scheduled.UnixNano() + 17, Kind: "comment", By: "Ann", Data: []byte(`{"text":"ok"}`)}},
	}
}

// TestFullIsFull: the encoding of a field that is missing in the golden file
// could change unnoticed.
func TestFullIsFull(t *testing.T) {
	var check func(m protoreflect.Message)
	check = func(m protoreflect.Message) {
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			if !m.Has(f) && f.Name() != "payload" {
				t.Errorf("%s is not set", f.FullName())
			}
			if f.Kind() != protoreflect.MessageKind || f.IsMap() || !m.Has(f) {
				continue
			}
			if f.IsList() {
				check(m.Get(f).List().Get(0).Message())
			} else {
				check(m.Get(f).Message())
			}
		}
	}
	check(full().ProtoReflect())
}

// TestGolden reads the records of each release. After a release, its files must
// not change.
func TestGolden(t *testing.T) {
	const current = "testdata/record-v0.1.hex"
	e, err := async.EncodeRecord(store.Entry{ID: "x"}, full())
	wantNil(t, err)
	if *update {
		wantNil(t, os.WriteFile(current, []byte(hex.EncodeToString(e.Body)+"\n"), 0o644))
	}
	files, err := filepath.Glob("testdata/record-*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		wantNil(t, err)
		body, err := hex.DecodeString(strings.TrimSpace(string(text)))
		wantNil(t, err)
		r, err := async.DecodeRecord(store.Entry{ID: "x", Body: body})
		if err != nil {
			t.Fatalf("%s can no longer be read: %v", f, err)
		}
		want := full()
		if f == "testdata/record-v0.0.hex" {
			want.Outcome.NonRetryable, want.Outcome.Outrun, want.Outcome.Gone, want.Delivery.RefusalReported = false, false, false, 0 // came later
			want.Carry, want.RoundBegan, want.Notes = nil, 0, nil
		}
		unknown := r.ProtoReflect().GetUnknown() // fields that a later release removed
		if r.ProtoReflect().SetUnknown(nil); !proto.Equal(r, want) {
			t.Errorf("%s reads as\n%v, want\n%v", f, r, want)
		}
		if (len(unknown) > 0) != (f == "testdata/record-v0.0.hex") {
			t.Errorf("%s has %d bytes of unknown fields; only that before the first release has one: per_attempt", f, len(unknown))
		}
		if f == current && !bytes.Equal(body, e.Body) {
			t.Errorf("this release writes other bytes than %s: run it with -update before it is out", f)
		}
	}
}

func TestUnknownFieldsSurvive(t *testing.T) {
	w := newWorld(t)
	id := w.start(1, async.StartOptions{})
	w.change(func(r *record.Record) {
		unknown := protowire.AppendTag(nil, 1000, protowire.BytesType)
		r.ProtoReflect().SetUnknown(protowire.AppendString(unknown, "of a newer release"))
	})
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	if got := w.record().ProtoReflect().GetUnknown(); !bytes.Contains(got, []byte("of a newer release")) {
		t.Errorf("a field of a newer release was dropped: %q", got)
	}
}

func TestForeignBodies(t *testing.T) {
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"empty":      {nil, store.ErrCorrupt},
		"not a wire": {[]byte{1, 0xff}, store.ErrCorrupt},
		"format 2":   {[]byte{2}, nil},
	} {
		_, err := async.DecodeRecord(store.Entry{ID: "x", Body: c.body})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestRecordIsSmall(t *testing.T) {
	w := newWorld(t)
	w.start(1, async.StartOptions{})
	if e, _ := w.stored(); len(e.Body) > 400 {
		t.Errorf("a waiting activity is kept in %d bytes, want at most 400", len(e.Body))
	}
}

// TestLargestRecord checks that a record has at most store.MaxBody bytes.
// Backends accept more, so that a store that wraps a backend can add bytes.
func TestLargestRecord(t *testing.T) {
	r := &record.Record{Details: make([]byte, store.MaxBody-100)}
	e, err := async.EncodeRecord(store.Entry{ID: "x"}, r)
	wantNil(t, err)
	r.Details = make([]byte, len(r.Details)+store.MaxBody-len(e.Body))
	e, err = async.EncodeRecord(store.Entry{ID: "x"}, r)
	if err != nil || len(e.Body) != store.MaxBody {
		t.Errorf("encode: got %d bytes, %v, want %d bytes", len(e.Body), err, store.MaxBody)
	}
	r.Details = append(r.Details, 0)
	_, err = async.EncodeRecord(store.Entry{ID: "x"}, r)
	wantErr(t, err, store.ErrInvalid)
}

func TestOutcomeOfUnknownKindStays(t *testing.T) {
	w := newWorld(t)
	w.completer.CompleteFunc = unavailable
	id := w.start(1, async.StartOptions{})
	wantNil(t, w.open(id).Reject(t.Context(), temporal.NewApplicationError("no", "No")))
	w.change(func(r *record.Record) { r.Outcome.Kind = 99 })
	w.start(2, async.StartOptions{})
	w.wantState(async.Settled)
	w.wantSent(0)
}

func FuzzDecodeRecord(f *testing.F) {
	e, err := async.EncodeRecord(store.Entry{ID: "x"}, full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e.Body)
	f.Add([]byte{1})
	f.Add([]byte{2, 3})
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := async.DecodeRecord(store.Entry{ID: "x", Body: body})
		if err != nil {
			return
		}
		again, err := async.EncodeRecord(store.Entry{ID: "x"}, r)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		back, err := async.DecodeRecord(again)
		if err != nil || !proto.Equal(back, r) {
			t.Fatalf("what was written reads differently: %v", err)
		}
	})
}
