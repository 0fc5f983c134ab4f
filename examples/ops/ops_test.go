package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/child/childtest"
	"github.com/latchkey-go/latchkey/examples/internal/redisserver"
)

// argumentsVariable has the arguments of the program that a test starts.
const argumentsVariable = "LATCHKEY_OPS_ARGUMENTS"

func TestMain(m *testing.M) {
	if childtest.IsProgram() {
		os.Args = append([]string{"ops"}, strings.Fields(os.Getenv(argumentsVariable))...)
		main()
		return
	}
	os.Exit(m.Run())
}

func needRedis(t *testing.T) {
	t.Helper()
	if err := redisserver.Find(); err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			t.Fatalf("LATCHKEY_REQUIRE_SERVERS is 1, and %v", err)
		}
		t.Skip("NOT TESTED:", err)
	}
}

// TestIncident plays the incident with few entries.
func TestIncident(t *testing.T) {
	t.Parallel()
	needRedis(t)
	out, _ := childtest.Start(t, argumentsVariable+"=-auto -entries 200").Wait(0)
	for _, want := range []string{
		`(?m)^  \S+ +settled, result.* Approve `,
		`(?m)^  \S+ +settled, result, refused.* Capture `,
		`(?m)^  attention +No hub has worked on the entry for .*Start a hub that knows the pump "jobs"`,
		`(?m)^  waiting +RunJob +unknown pump +10 `,
		`(?m)^  latchkey_entries\{.*class="unknown pump".*\} 10$`,
		`(?m)^ +\S+ +operator +command line +\{"action":"complete","why":"by telephone"\}$`,
		`(?m)^All as expected`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the program printed:\n%s\nwant %s in it", out, want)
		}
	}
}

// TestAddresses starts the example without -auto. The printed addresses answer
// until Ctrl-C.
func TestAddresses(t *testing.T) {
	t.Parallel()
	needRedis(t)
	p := childtest.Start(t, argumentsVariable+"=-entries 100")
	p.Await("Ctrl-C ends.")
	out := p.Output()
	find := func(pattern string) string {
		t.Helper()
		found := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if found == nil {
			t.Fatalf("the program printed:\n%s\nwant %s in it", out, pattern)
		}
		return found[1]
	}
	board, metrics := find(`board +(http://\S+)`), find(`metrics +(http://\S+)`)
	token := find(`user ops, password (\S+)\)`)
	if at, password := find(`LATCHKEY_URL=(\S+)`), find(`LATCHKEY_TOKEN=(\S+)`); at != board || password != token {
		t.Errorf("the command line gets %s and %s, want %s and %s", at, password, board, token)
	}
	for _, x := range []struct {
		address, password, want string
		status                  int
	}{
		{board, token, "Needs attention", http.StatusOK},
		{board + "waiting", token, "Approve", http.StatusOK},
		{board, "wrong", "Sign in", http.StatusUnauthorized},
		{metrics, "", "latchkey_asked_total{", http.StatusOK},
	} {
		status, page := get(t, x.address, x.password)
		if status != x.status || !strings.Contains(page, x.want) {
			t.Errorf("%s with the password %q: %d, want %d with %q:\n%s", x.address, x.password, status, x.status, x.want, page)
		}
	}
	p.Interrupt()
	p.Wait(0)
}

func get(t *testing.T, address, password string) (status int, page string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		request.SetBasicAuth("ops", password)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(b)
}
