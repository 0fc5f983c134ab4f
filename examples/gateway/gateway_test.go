package main

import (
	"os"
	"regexp"
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
Temporal is stopped\.
  200  a mail scanner opens the link
  415  a mail scanner submits a form
  422  an empty answer
  404  a link that was changed
  403  a rejection, which the link doesn't allow
  200  Ada approves
  200  Ada clicks again
  409  a different answer by Bob
  401  a payment with a forged signature
  204  the payment provider's message
  204  the same message again
(?s:.*)
  order-3: approved true by Ada, paid 300 cents

All as expected: 3 workflows, (?s:.*)
$`)

// TestProgram runs the whole example.
func TestProgram(t *testing.T) {
	t.Parallel()
	if err := redisserver.Find(); err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			t.Fatalf("LATCHKEY_REQUIRE_SERVERS is 1, and %v", err)
		}
		t.Skip("NOT TESTED:", err)
	}
	out, _ := childtest.Start(t).Wait(0)
	if !wantAccount.MatchString(out) {
		t.Errorf("the program printed:\n%s\nwant it to end with an account like\n%s", out, wantAccount)
	}
}
