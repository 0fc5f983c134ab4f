package async_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/asynctest"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// FuzzRecords stores a record that is changed field by field or byte by byte,
// and makes every call that reads it. No call may panic, an unreadable record
// must stay as it is, and no error may show a secret or a token.
func FuzzRecords(f *testing.F) {
	random := rand.New(rand.NewPCG(17, 22))
	for n := range 150 {
		seed := make([]byte, 4+random.IntN(44))
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		seed[0] = byte(n)
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) { meet(t, &source{data}) })
	})
}

// meet makes every call that reads a record.
func meet(t *testing.T, in *source) {
	shape := in.next()
	r := wellFormed(int(shape % 6))
	secret := bytes.Clone(r.Secret)
	if shape&0x80 == 0 {
		change(r.ProtoReflect(), in, 3)
	}
	body, err := proto.MarshalOptions{AllowPartial: true}.Marshal(r)
	if err != nil {
		return // skips a string that is not UTF-8
	}
	body = append([]byte{1}, body...)
	for shape&0x80 != 0 && len(in.rest) > 1 {
		body[int(in.next())<<2%len(body)] ^= in.next()
	}
	s := store.NewMemory()
	id := async.EntryID(wellFormed(int(shape % 6)))
	stored := store.Entry{ID: id, Due: time.Now(), Body: body}
	_, unreadable := async.DecodeRecord(stored)
	if _, err := s.Put(t.Context(), stored); err != nil {
		return
	}
	pay := func(context.Context, async.Callback) error { return nil }
	over := func(context.Context, async.Callback, error) error { return nil }
	h, err := async.New(async.Options{
		Store: s, Completer: new(asynctest.Completer),
		Hooks: async.Hooks{Delivered: pay, CancelRequested: pay, Paused: pay, Reset: pay, Over: over, Refused: over},
	})
	wantNil(t, err)
	// A count does not decode all fields, so it may count an entry that is
	// damaged in another field.
	if counted, full, countedErr, fullErr := async.Counted(h, stored); fullErr == nil && (countedErr != nil || counted != full) {
		t.Errorf("a count has %+v, %v, want %+v", counted, countedErr, full)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var errs []error
	calls := func(c async.Callback) {
		_, _ = c.Info(), c.String()
		errs = append(errs, c.Heartbeat(ctx, "progress"), c.Remember(ctx, "job-3"), c.ReportCanceled(ctx))
		if shape&0x40 == 0 {
			errs = append(errs, async.Pending[Decision]{Callback: c}.Complete(ctx, Decision{Approved: true}))
		}
		errs = append(errs, c.Fail(ctx, errors.New("no")), c.Abandon(ctx))
	}
	run := func(d time.Duration) {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		errs = append(errs, h.Run(ctx))
	}
	switch callback := async.CallbackID(stored, &record.Record{Secret: secret}); shape % 4 {
	case 0:
		_, err := h.Work(ctx)
		errs = append(errs, err)
	case 1:
		run(5 * time.Second)
	case 2:
		p, err := async.Open[Decision](ctx, h, callback)
		if errs = append(errs, err); err == nil {
			calls(p.Callback)
		}
	case 3:
		for c, err := range h.List(ctx) {
			if errs = append(errs, err); err == nil {
				calls(c)
			}
		}
	}
	o := async.StartOptions{Key: wellFormed(int(shape % 6)).Key}
	errs = append(errs, async.StartAttempt(ctx, h, attempt(2), o, func(context.Context, async.Pending[Decision]) error { return nil }))
	p, err := async.OpenKey[Decision](ctx, h, "order-7", async.KeyOptions{Namespace: "default", Early: time.Minute})
	if errs = append(errs, err); err == nil {
		calls(p.Callback)
	}
	run(3 * time.Second)
	for _, err := range errs {
		if err != nil && (strings.Contains(err.Error(), string(secret)) || strings.Contains(err.Error(), "token-1")) {
			t.Errorf("an error shows a secret: %v", err)
		}
	}
	if after, err := s.Get(t.Context(), id); unreadable != nil && (err != nil || !bytes.Equal(after.Body, body)) {
		t.Errorf("an entry that can't be read was changed: %v", err)
	}
}

// wellFormed returns one record of each shape.
func wellFormed(shape int) *record.Record {
	a, now := attempt(1), time.Now().UnixNano()
	r := &record.Record{
		Namespace: a.Namespace, WorkflowId: a.WorkflowExecution.ID, RunId: a.WorkflowExecution.RunID, ActivityId: a.ActivityID,
		ActivityType: a.ActivityType.Name, Scheduled: scheduled.UnixNano(), Attempt: 1, Started: a.StartedTime.UnixNano(), TaskToken: a.TaskToken,
		Deadline: a.Deadline.UnixNano(), State: record.Waiting, ResultType: "github.com/latchkey-go/latchkey/async_test.Decision",
		Secret: []byte("0123456789abcdef"), Created: now,
	}
	r.Rounds = []*record.Round{{CallbackDigest: []byte("0123456789abcdef"), Fingerprint: []byte("print"), Kind: record.Failure}}
	switch shape {
	case 1:
		r.HandedOffStarted, r.HeartbeatTimeout, r.LastBeat, r.NextBeat = r.Started, int64(30*time.Second), now, now
		r.Details, r.DetailsPendingSince, r.BeatPendingSince = []byte("\n\x00"), now, now
	case 2:
		settled(r).Delivery.Next = now
		r.Outcome.Started = r.Started
	case 3:
		settled(r).Outcome.Kind = record.Failure
		r.State, r.End, r.Ended, r.Delivery.Delivered, r.Outcome.Started = record.Closed, record.EndDelivered, now, true, r.Started
		r.Notices = []*record.Notice{{Kind: record.NoticeDelivered, Reason: record.EndDelivered, Secret: r.Secret, Outcome: record.Failure}}
	case 4:
		r = &record.Record{Namespace: "default", Key: "order-7", ResultType: r.ResultType, Early: true, Secret: r.Secret, Created: now}
		settled(r).Delivery.Next = now + int64(time.Minute)
	case 5:
		r.Key, r.State, r.End, r.Ended = "order-7", record.Closed, record.EndTimedOut, now
		r.Notices = []*record.Notice{{Kind: record.NoticeOver, Reason: record.EndTimedOut, Secret: r.Secret}}
	}
	return r
}

// source is the fuzzer's input.
type source struct{ rest []byte }

func (s *source) next() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

func pick[T any](s *source, from ...T) T { return from[int(s.next())%len(from)] }

// change sets fields of a message to edge values or to random values.
func change(m protoreflect.Message, in *source, depth int) {
	fields := m.Descriptor().Fields()
	for range 1 + in.next()%4 {
		f := fields.Get(int(in.next()) % fields.Len())
		switch {
		case in.next()%4 == 0:
			m.Clear(f)
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("k").MapKey(), protoreflect.ValueOfString("v"))
		case f.IsList():
			list := m.Mutable(f).List()
			v := list.NewElement()
			if depth > 0 {
				change(v.Message(), in, depth-1)
			}
			list.Append(v)
		case f.Kind() == protoreflect.MessageKind:
			if sub := m.Mutable(f).Message(); depth > 0 {
				change(sub, in, depth-1)
			}
		default:
			m.Set(f, valueOf(f, in))
		}
	}
}

func valueOf(f protoreflect.FieldDescriptor, in *source) protoreflect.Value {
	now := time.Now().UnixNano()
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(in.next()%4 > 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(pick(in, 0, 1, 2, 3, 4, 5, 6, 7, 99, -1)))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(pick[int32](in, 0, 1, -1, 2, math.MaxInt32, math.MinInt32))
	case protoreflect.Int64Kind:
		at := attempt(1).StartedTime.UnixNano()
		return protoreflect.ValueOfInt64(pick(in, 0, 1, -1, now, now-int64(time.Hour), now+int64(time.Hour), at, at+1, math.MaxInt64, math.MinInt64))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(pick(in, "", "x", "order-7", "default", strings.Repeat("long", 500)))
	default:
		return protoreflect.ValueOfBytes(pick(in, nil, []byte("x"), []byte("0123456789abcdef"), []byte("\n\x00"), binary.AppendVarint(nil, now)))
	}
}
