package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/child/childtest"
	"github.com/latchkey-go/latchkey/examples/internal/redisserver"
)

func TestMain(m *testing.M) {
	if childtest.IsProgram() {
		main()
		return
	}
	os.Exit(m.Run())
}

var wantAccount = regexp.MustCompile(`
One worker is killed(?s:.*)
One of the processes that accept answers is killed too(?s:.*)
  240 activities have the answer that a process accepted, each once
 +\d+ of them asked again after the worker was killed, with the same callback ID
 +[1-9]\d* waited longer than 13\.5s, with a heartbeat timeout of 9s, and needed no second attempt
 +[1-9]\d* answers were sent more than once, because the first process was dead
   24 different answers came later, and were refused
Nothing is lost\.
$`)

// TestProgram runs the whole example.
func TestProgram(t *testing.T) {
	t.Parallel()
	needRedis(t)
	out, log := childtest.Start(t).Wait(0)
	if !wantAccount.MatchString(out) {
		t.Errorf("the program printed:\n%s\nwant it to end with an account like\n%s", out, wantAccount)
	}
	childtest.Quiet(t, log)
}

// TestInterrupt interrupts the program while it runs.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	needRedis(t)
	p := childtest.Start(t)
	p.Await("One worker is killed")
	p.Interrupt()
	p.Wait(1)
}

// TestWithoutRedis: if Redis is missing, the program says what to install.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	_, log := childtest.Start(t, "PATH="+t.TempDir()).Wait(1)
	if want := "apt-get install redis-server"; !strings.Contains(log, want) {
		t.Errorf("without a redis-server the program logged %q, want it to say %q", log, want)
	}
}

func needRedis(t *testing.T) {
	t.Helper()
	err := redisserver.Find()
	switch {
	case err == nil:
	case os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1":
		t.Fatalf("LATCHKEY_REQUIRE_SERVERS is 1, and %v", err)
	default:
		t.Skip("NOT TESTED:", err)
	}
}
