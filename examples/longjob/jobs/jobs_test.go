package jobs

import (
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func newRunner(t *testing.T, pace time.Duration) *Client {
	t.Helper()
	s := httptest.NewServer(NewServer(pace))
	t.Cleanup(s.Close)
	return NewClient(s.URL)
}

// TestOneJobForEachKey starts a job three times. A client repeats the call if
// it does not know whether the first call worked.
func TestOneJobForEachKey(t *testing.T) {
	t.Parallel()
	c := newRunner(t, time.Hour)
	for range 3 {
		j, err := c.Start(t.Context(), "key", Order{Name: "a", From: 40})
		if want := (Job{ID: "job-1", Name: "a", State: Running, From: 40, Percent: 40}); err != nil || j != want {
			t.Errorf("start: %+v, %v, want %+v", j, err, want)
		}
	}
	if j, err := c.Start(t.Context(), "other", Order{Name: "a"}); err != nil || j.ID != "job-2" {
		t.Errorf("start under another key: %+v, %v, want job-2", j, err)
	}
	if all, err := c.All(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("all jobs: %+v, %v, want 2", all, err)
	}
}

func TestStopAndCrash(t *testing.T) {
	t.Parallel()
	c := newRunner(t, time.Hour)
	for _, key := range []string{"1", "2"} {
		if _, err := c.Start(t.Context(), key, Order{}); err != nil {
			t.Fatal(err)
		}
	}
	if j, err := c.Stop(t.Context(), "job-1"); err != nil || j.State != Stopped {
		t.Errorf("stop: %+v, %v, want it stopped", j, err)
	}
	if j, err := c.Crash(t.Context(), "job-1"); err != nil || j.State != Stopped {
		t.Errorf("crash of a stopped job: %+v, %v, want it to stay stopped", j, err)
	}
	if j, err := c.Crash(t.Context(), "job-2"); err != nil || j.State != Crashed {
		t.Errorf("crash: %+v, %v, want it crashed", j, err)
	}
	if j, err := c.Get(t.Context(), "job-2"); err != nil || j.State != Crashed {
		t.Errorf("get after the crash: %+v, %v, want it crashed", j, err)
	}
	if _, err := c.Get(t.Context(), "job-3"); !errors.Is(err, ErrNotFound) {
		t.Errorf("get of an unknown job: %v, want ErrNotFound", err)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := job{Job{Name: "a", State: Running, From: 90}, time.Now()}
		time.Sleep(9 * time.Second)
		if j.advance(time.Second); j.Percent != 99 || j.State != Running {
			t.Errorf("after 9 s from 90%% on: %+v, want 99%% and running", j.Job)
		}
		time.Sleep(time.Minute)
		if j.advance(time.Second); j.Percent != 100 || j.State != Done || j.Result == "" {
			t.Errorf("at the end: %+v, want 100%%, done, a result", j.Job)
		}
	})
}
