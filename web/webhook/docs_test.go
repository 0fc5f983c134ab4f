package webhook_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/async"
)

// blocks returns the blocks of code in docs/http.md, by language.
func blocks(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for _, b := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		all[b[1]] = append(all[b[1]], b[2])
	}
	return all
}

// TestDocumentation compares the Go code of docs/http.md with the examples,
// word for word.
func TestDocumentation(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := blocks(t)["go"]
	if len(code) < 4 {
		t.Fatalf("only %d blocks of Go were found", len(code))
	}
	for _, b := range code {
		indented := "\t" + strings.ReplaceAll(strings.TrimSuffix(b, "\n"), "\n", "\n\t") + "\n"
		if !strings.Contains(string(source), indented) {
			t.Errorf("no example has the block:\n%s", b)
		}
	}
	for _, v := range problemCodes(t) {
		if page, _ := os.ReadFile("../../docs/http.md"); !strings.Contains(string(page), "`"+v+"`") {
			t.Errorf("docs/http.md doesn't explain the code %s", v)
		}
	}
}

// problemCodes returns the codes that the OpenAPI document lists for a Handler.
func problemCodes(t *testing.T) (codes []string) {
	t.Helper()
	text := string(newRig(t).api.Components.Schemas["Problem"])
	list := regexp.MustCompile(`"enum":\[([^\]]*)\]`).FindStringSubmatch(text)
	if list == nil {
		t.Fatalf("no codes in %s", text)
	}
	for code := range strings.SplitSeq(list[1], ",") {
		codes = append(codes, strings.Trim(code, `"`))
	}
	return codes
}

// The Python code of docs/http.md answers an activity, and gets a refusal.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1" {
			t.Fatal("LATCHKEY_REQUIRE_SERVERS is 1, and python3 is not installed")
		}
		t.Skip("NOT TESTED: python3 is not installed")
	}
	r := newRig(t)
	server := httptest.NewServer(r.handler)
	defer server.Close()
	id := start[Decision](r, async.StartOptions{})
	script := blocks(t)["python"][0] + `
import sys
print(answer(sys.argv[1], {"approved": True})["state"])
try:
    answer(sys.argv[1], {"aproved": True})
except ValueError as e:
    print(e.args[0]["code"], e.args[0]["errors"][0]["pointer"])
`
	out, err := exec.CommandContext(t.Context(), python, "-c", script, server.URL+"/"+id).CombinedOutput()
	if got := string(out); err != nil || got != "closed\ninvalid /approved\n" {
		t.Errorf("the script printed %q, %v", got, err)
	}
}
