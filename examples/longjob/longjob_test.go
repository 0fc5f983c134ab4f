package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/child/childtest"
)

func TestMain(m *testing.M) {
	if childtest.IsProgram() {
		main()
		return
	}
	os.Exit(m.Run())
}

var wantAccount = regexp.MustCompile(`
  render   (job-\d), from 0% to 100%: done
           its workflow has the result of (job-\d), by attempt [2-9]
  index    (job-\d), from 0% to (\d+)%: crashed
           job-4, from (\d+)% to 100%: done
           its workflow has the result of job-4, by attempt [3-9]
  encode   (job-\d), from 0% to \d+%: stopped
           its workflow is cancelled
All as expected: 4 jobs for 3 workflows, because one job crashed\. No job was started twice\.
$`)

// TestProgram runs the whole example.
func TestProgram(t *testing.T) {
	t.Parallel()
	out, log := childtest.Start(t).Wait(0)
	if !wantAccount.MatchString(out) {
		t.Errorf("the program printed:\n%s\nwant it to end with an account like\n%s", out, wantAccount)
	}
	childtest.Quiet(t, log)
}

// TestInterrupt ends the program in the middle of its story.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	p := childtest.Start(t)
	p.Await("job-1 started")
	p.Interrupt()
	p.Wait(1)
}
