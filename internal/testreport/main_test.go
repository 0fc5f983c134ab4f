package main

import (
	"strings"
	"testing"
)

// output is the output of go test -json for a package with a test that passes,
// one that fails, and two that are skipped.
const output = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: NOT TESTED: redis-server is not installed\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"run","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:7: run by TestA\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
`

func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		in     string
		strict bool
		fails  bool
		want   []string
		not    []string
	}{
		"passes": {
			in:   output + `{"Action":"output","Package":"p","Output":"PASS\n"}` + "\n" + `{"Action":"output","Package":"p","Output":"ok  \tp\t0.01s\n"}` + "\n" + `{"Action":"pass","Package":"p"}` + "\n",
			want: []string{"ok  \tp\t0.01s\n", "3 tests, of which 2 were skipped:\n  1 × NOT TESTED: redis-server is not installed (p TestB)\n  1 × run by TestA (p TestC)\n"},
			not:  []string{"=== RUN", "PASS"},
		},
		"a skip where none is allowed": {in: output, strict: true, fails: true, want: []string{"NOT TESTED: redis-server", "FAIL: LATCHKEY_REQUIRE_SERVERS"}},
		"a test fails": {
			in:    `{"Action":"run","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: got 1, want 2\n"}` + "\n" + `{"Action":"fail","Package":"p","Test":"TestA"}` + "\n",
			fails: true,
			want:  []string{"a_test.go:3: got 1, want 2", "1 tests, none was skipped"},
		},
		"a build fails": {
			in:    `{"ImportPath":"p","Action":"build-output","Output":"p/a.go:3: undefined: x\n"}` + "\n" + `{"ImportPath":"p","Action":"build-fail"}` + "\n",
			fails: true,
			want:  []string{"undefined: x"},
		},
		"a command fails":  {in: "go: cannot find main module\nFAIL: go test in examples\n", fails: true, want: []string{"cannot find main module", "FAIL: go test in examples"}},
		"no race detector": {in: "NOT TESTED: the race detector needs a C compiler\n", want: []string{"1 × NOT TESTED: the race detector needs a C compiler\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			failed, err := report(strings.NewReader(c.in), &out, c.strict)
			if err != nil || failed != c.fails {
				t.Errorf("failed: %v, %v, want %v", failed, err, c.fails)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("printed:\n%s\nwant %q in it", out.String(), want)
				}
			}
			for _, not := range c.not {
				if strings.Contains(out.String(), not) {
					t.Errorf("printed:\n%s\nwant no %q in it", out.String(), not)
				}
			}
		})
	}
}
