package main

import (
	"errors"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/examples/longjob/jobs"
)

// TestAccountNoticesWhatIsWrong makes account compare wrong results, and checks
// that it reports them.
func TestAccountNoticesWhatIsWrong(t *testing.T) {
	books := func() []jobs.Job {
		return []jobs.Job{
			{ID: "job-1", Name: "render", State: jobs.Done, Percent: 100, Result: "rendered"},
			{ID: "job-2", Name: "index", State: jobs.Crashed, Percent: 30},
			{ID: "job-3", Name: "encode", State: jobs.Stopped, Percent: 10},
			{ID: "job-4", Name: "index", State: jobs.Done, From: 30, Percent: 100, Result: "indexed"},
		}
	}
	ended := func() map[string]outcome {
		return map[string]outcome{
			"render": {result: Result{"job-1", "rendered", 2}},
			"index":  {result: Result{"job-4", "indexed", 3}},
			"encode": {err: temporal.NewCanceledError()},
		}
	}
	if _, err := account(books(), ended()); err != nil {
		t.Fatalf("what came out right: %v, want no error", err)
	}
	for _, c := range []struct {
		name  string
		wrong func(b *[]jobs.Job, e map[string]outcome)
		want  string
	}{
		{"started twice", func(b *[]jobs.Job, _ map[string]outcome) { *b = append(*b, (*b)[0]) }, "render: 2 jobs"},
		{"never started", func(b *[]jobs.Job, _ map[string]outcome) { *b = (*b)[1:] }, "render: 0 jobs"},
		{"started once more after the crash", func(b *[]jobs.Job, _ map[string]outcome) { *b = append(*b, (*b)[3]) }, "index: 3 jobs"},
		{"no crash", func(b *[]jobs.Job, _ map[string]outcome) { (*b)[1].State = jobs.Done }, "first job is done"},
		{"began anew", func(b *[]jobs.Job, _ map[string]outcome) { (*b)[3].From = 0 }, "began at 0%"},
		{"began further on", func(b *[]jobs.Job, _ map[string]outcome) { (*b)[3].From = 31 }, "began at 31%"},
		{"encode twice", func(b *[]jobs.Job, _ map[string]outcome) { *b = append(*b, (*b)[2]) }, "encode: 2 jobs"},
		{"not stopped", func(b *[]jobs.Job, _ map[string]outcome) { (*b)[2].State = jobs.Done }, "done, want stopped"},
		{"still runs", func(b *[]jobs.Job, _ map[string]outcome) { (*b)[0].State = jobs.Running }, "job-1 is running"},
		{"no result", func(_ *[]jobs.Job, e map[string]outcome) { e["render"] = outcome{err: errors.New("lost")} }, "no result: lost"},
		{"of another job", func(_ *[]jobs.Job, e map[string]outcome) { e["index"] = outcome{result: Result{"job-2", "indexed", 3}} }, "of job-2"},
		{"another result", func(_ *[]jobs.Job, e map[string]outcome) { e["render"] = outcome{result: Result{"job-1", "", 2}} }, `has "" of job-1`},
		{"before the kill", func(_ *[]jobs.Job, e map[string]outcome) {
			e["render"] = outcome{result: Result{"job-1", "rendered", 1}}
		}, "attempt 1"},
		{"not cancelled", func(_ *[]jobs.Job, e map[string]outcome) { e["encode"] = outcome{} }, "not cancelled"},
	} {
		b, e := books(), ended()
		c.wrong(&b, e)
		if _, err := account(b, e); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the account's error is %v, want one with %q", c.name, err, c.want)
		}
	}
}
