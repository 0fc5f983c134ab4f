package otel_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.temporal.io/api/serviceerror"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/store"
)

// TestTraceAcrossDaysAndProcesses follows one answer through three processes.
// If the environment variable LATCHKEY_TRACE names a file, the test writes the
// spans to it as JSON:
//
//	LATCHKEY_TRACE=/tmp/trace.json go -C otel test . -run TestTraceAcross -count=1
func TestTraceAcrossDaysAndProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := store.NewMemory()
		work, web, deliver := newProcess(t, shared, true), newProcess(t, shared, false), newProcess(t, shared, true)
		id := work.run(true)
		act, handOff := work.span("RunActivity:Approve"), work.span("latchkey.handoff")
		if handOff.Parent.SpanID() != act.SpanContext.SpanID() || handOff.SpanContext.TraceID() != act.SpanContext.TraceID() {
			t.Error("the hand-off is not a child of the activity")
		}
		if act.Status.Code == codes.Error || len(act.Events) > 0 {
			t.Errorf("the span of an activity that waits is %v, with the events %v", act.Status, act.Events)
		}
		if d := handOff.EndTime.Sub(handOff.StartTime); d > time.Second {
			t.Errorf("the hand-off was open for %v", d)
		}
		time.Sleep(72 * time.Hour)

		ctx, request := web.tracer.Tracer("http").Start(t.Context(), "POST /answer")
		pending, err := async.Open[Decision](ctx, web.hub, id)
		if err == nil {
			err = pending.Complete(ctx, Decision{Approved: true})
		}
		request.End()
		if err != nil {
			t.Fatal(err)
		}
		settle := web.span("latchkey.settle")
		if settle.Parent.SpanID() != request.SpanContext().SpanID() {
			t.Error("the acceptance is not a child of the request")
		}
		if len(settle.Links) != 1 || settle.Links[0].SpanContext.SpanID() != handOff.SpanContext.SpanID() || settle.Links[0].SpanContext.TraceID() != act.SpanContext.TraceID() {
			t.Errorf("the acceptance's links are %v", settle.Links)
		}

		if _, err := deliver.hub.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := deliver.span("latchkey.deliver")
		if len(d.Links) != 2 || d.Links[0].SpanContext.SpanID() != handOff.SpanContext.SpanID() || d.Links[1].SpanContext.SpanID() != settle.SpanContext.SpanID() {
			t.Errorf("the delivery's links are %v", d.Links)
		}
		if d.Status.Code == codes.Error {
			t.Errorf("the delivery is %v", d.Status)
		}
		for _, p := range []*process{work, web, deliver} {
			for _, s := range p.spans.GetSpans() {
				if s.EndTime.IsZero() || s.EndTime.Sub(s.StartTime) > time.Minute {
					t.Errorf("%s was open from %v to %v", s.Name, s.StartTime, s.EndTime)
				}
				for _, a := range s.Attributes {
					if strings.Contains(a.Value.String(), id) {
						t.Errorf("%s shows the callback ID in %s", s.Name, a.Key)
					}
				}
			}
		}
		work.wantNoOpenSpan(2)
		web.wantNoOpenSpan(2)
		deliver.wantNoOpenSpan(1)
		if file := os.Getenv("LATCHKEY_TRACE"); file != "" {
			writeTrace(t, file, map[string]*process{"worker": work, "web": web, "deliverer": deliver})
		}
		wait := web.histogram("latchkey.wait")
		if len(wait) != 1 || wait[0].Count != 1 || wait[0].Sum != (72*time.Hour).Seconds() {
			t.Errorf("latchkey.wait is %+v, want 72 h once", wait)
		}
	})
}

// writeTrace writes the spans of several processes as JSON, in the order in
// which they began.
func writeTrace(t *testing.T, file string, processes map[string]*process) {
	t.Helper()
	type link struct {
		Name    string `json:"name"`
		TraceID string `json:"trace_id"`
		SpanID  string `json:"span_id"`
	}
	type span struct {
		Process    string            `json:"process"`
		Name       string            `json:"name"`
		TraceID    string            `json:"trace_id"`
		SpanID     string            `json:"span_id"`
		Parent     string            `json:"parent,omitempty"`
		Start      time.Time         `json:"start"`
		End        time.Time         `json:"end"`
		Status     string            `json:"status"`
		Attributes map[string]string `json:"attributes"`
		Links      []link            `json:"links,omitempty"`
	}
	var all []span
	for name, p := range processes {
		for _, s := range p.spans.GetSpans() {
			one := span{
				Process: name, Name: s.Name, TraceID: s.SpanContext.TraceID().String(), SpanID: s.SpanContext.SpanID().String(),
				Start: s.StartTime.UTC(), End: s.EndTime.UTC(), Status: s.Status.Code.String(), Attributes: make(map[string]string),
			}
			if s.Parent.IsValid() {
				one.Parent = s.Parent.SpanID().String()
			}
			for _, a := range s.Attributes {
				one.Attributes[string(a.Key)] = a.Value.String()
			}
			for _, l := range s.Links {
				to := link{TraceID: l.SpanContext.TraceID().String(), SpanID: l.SpanContext.SpanID().String()}
				for _, a := range l.Attributes {
					to.Name = a.Value.String()
				}
				one.Links = append(one.Links, to)
			}
			all = append(all, one)
		}
	}
	slices.SortStableFunc(all, func(a, b span) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Parent, b.Parent))
	})
	text, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestSpansOfTrouble checks the spans of operations that do not succeed: which
// of them are errors, and that each ends.
func TestSpansOfTrouble(t *testing.T) {
	const text = "s3cret of the application"
	answered := func(p *process, id string) async.Pending[Decision] {
		p.t.Helper()
		pending, err := async.Open[Decision](p.t.Context(), p.hub, id)
		if err == nil {
			err = pending.Complete(p.t.Context(), Decision{Approved: true})
		}
		if err != nil {
			p.t.Fatal(err)
		}
		return pending
	}
	for name, c := range map[string]struct {
		do   func(p *process)
		want []string
	}{
		"failed delivery": {
			do: func(p *process) {
				p.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
					if len(p.ended("latchkey.deliver")) == 0 {
						return serviceerror.NewInternal(text)
					}
					return nil
				}
				answered(p, p.run(true))
				time.Sleep(time.Minute)
				if _, err := p.hub.Work(p.t.Context()); err != nil {
					p.t.Error(err)
				}
			},
			want: []string{"latchkey.handoff asked Unset", "latchkey.settle accepted Unset", "latchkey.deliver unavailable Error", "latchkey.deliver delivered Unset"},
		},
		"refused delivery": {
			do: func(p *process) {
				p.temporal.CompleteFunc = func(context.Context, completer.Target, completer.Outcome) error {
					return fmt.Errorf("%w: %s", completer.ErrRefused, text)
				}
				answered(p, p.run(true))
			},
			want: []string{"latchkey.handoff asked Unset", "latchkey.settle accepted Unset", "latchkey.deliver refused Error"},
		},
		"refused answer": {
			do: func(p *process) {
				pending := answered(p, p.run(true))
				if err := pending.Complete(p.t.Context(), Decision{}); !errors.Is(err, async.ErrSettled) {
					p.t.Errorf("another answer: %v", err)
				}
				if err := pending.Fail(p.t.Context(), nil); !errors.Is(err, async.ErrInvalidFailure) {
					p.t.Errorf("a failure without an error: %v", err)
				}
			},
			want: []string{"latchkey.handoff asked Unset", "latchkey.settle accepted Unset", "latchkey.deliver delivered Unset", "latchkey.settle settled Unset", "latchkey.settle refused Unset"},
		},
		"failed function": {
			do: func(p *process) {
				if _, err := p.runWith(true, func() error { return errors.New(text) }); err == nil {
					p.t.Error("the activity returned no error")
				}
			},
			want: []string{"latchkey.handoff failed Error"},
		},
		"panicking function": {
			do: func(p *process) {
				if _, err := p.runWith(true, func() error { panic(text) }); err == nil {
					p.t.Error("the activity returned no error")
				}
			},
			want: []string{"latchkey.handoff panicked Error"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, store.NewMemory(), true)
				c.do(p)
				var got []string
				for _, s := range p.ended("latchkey.") {
					class := ""
					for _, a := range s.Attributes {
						if a.Key == "latchkey.class" {
							class = a.Value.String()
						}
					}
					got = append(got, fmt.Sprint(s.Name, " ", class, " ", s.Status.Code))
					if strings.Contains(fmt.Sprintf("%+v", s), text) {
						t.Errorf("%s shows the text of an error", s.Name)
					}
				}
				slices.Sort(got)
				slices.Sort(c.want)
				if !slices.Equal(got, c.want) {
					t.Errorf("the spans are %q, want %q", got, c.want)
				}
				p.wantNoOpenSpan(len(c.want) + 1) // and that of the activity
			})
		})
	}
}

// ended returns the spans whose names have this prefix.
func (p *process) ended(prefix string) (all []tracetest.SpanStub) {
	for _, s := range p.spans.GetSpans() {
		if strings.HasPrefix(s.Name, prefix) {
			all = append(all, s)
		}
	}
	return all
}

// TestContribMarksErrResultPending shows why Tracer is needed.
func TestContribMarksErrResultPending(t *testing.T) {
	p := newProcess(t, store.NewMemory(), true)
	p.run(false)
	if act := p.span("RunActivity:Approve"); act.Status.Code != codes.Error {
		t.Error("SDK contrib no longer marks the span of an activity that waits as an error: Tracer can go")
	}
}
