package main

import (
	"os"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/child/childtest"
	"github.com/latchkey-go/latchkey/examples/internal/redisserver"
)

func TestMain(m *testing.M) {
	if childtest.IsProgram() {
		os.Args = []string{"ops", "-auto", "-entries", "200"}
		main()
		return
	}
	os.Exit(m.Run())
}

// TestIncident plays the incident with few entries.
func TestIncident(t *testing.T) {
	t.Parallel()
	if err := redisserver.Find(); err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			t.Fatalf("LATCHKEY_REQUIRE_SERVERS is 1, and %v", err)
		}
		t.Skip("NOT TESTED:", err)
	}
	out, _ := childtest.Start(t).Wait(0)
	for _, want := range []string{"settled, result", "refused", "unknown pump", "by telephone", "All as expected"} {
		if !strings.Contains(out, want) {
			t.Errorf("the program printed:\n%s\nwant %q in it", out, want)
		}
	}
}
