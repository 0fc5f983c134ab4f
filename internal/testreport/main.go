// Command testreport reads the output of one or several runs of "go test -json"
// on its standard input. The output is the output of go test without -v,
// followed by the skipped tests with their reasons.
//
// The exit code is 1 if a test or a build failed. If LATCHKEY_REQUIRE_SERVERS
// is 1, a skip whose reason begins with "NOT TESTED" is a failure too.
//
// Lines that are not JSON are printed. A line that begins with "FAIL" counts as
// a failure, and one that begins with "NOT TESTED" as a skip.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	failed, err := report(os.Stdin, os.Stdout, os.Getenv("LATCHKEY_REQUIRE_SERVERS") == "1")
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if failed || err != nil {
		os.Exit(1)
	}
}

// notTested is the beginning of the reason if a test lacks something on this
// machine.
const notTested = "NOT TESTED"

// event is a line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// test is one test of a package; the package itself has no name.
type test struct{ pkg, name string }

// run is the state of the report so far.
type run struct {
	w       io.Writer
	strict  bool
	output  map[test]*strings.Builder
	skips   map[string][]test // by reason
	failed  bool
	started int
}

func report(r io.Reader, w io.Writer, strict bool) (failed bool, err error) {
	out := bufio.NewWriter(w)
	x := &run{w: out, strict: strict, output: make(map[test]*strings.Builder), skips: make(map[string][]test)}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			x.line(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return true, err
		}
		if err := out.Flush(); err != nil {
			return true, err
		}
	}
	x.summary()
	return x.failed, out.Flush()
}

func (x *run) line(line string) {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		x.plain(line)
		return
	}
	at := test{e.Package, e.Test}
	switch e.Action {
	case "run":
		x.started++
	case "output":
		b := x.output[at]
		if b == nil {
			b = new(strings.Builder)
			x.output[at] = b
		}
		b.WriteString(e.Output)
	case "build-output":
		x.print("%s", e.Output)
	case "build-fail":
		x.failed = true
	case "skip":
		if e.Test != "" {
			reason := reasonOf(x.output[at])
			x.skips[reason] = append(x.skips[reason], at)
		} else {
			x.print("%s", x.text(at)) // no test files
		}
		delete(x.output, at)
	case "pass":
		if e.Test == "" {
			x.print("%s", lastLine(x.text(at)))
		}
		delete(x.output, at)
	case "fail":
		x.failed = true
		x.print("%s", x.text(at))
		delete(x.output, at)
	}
}

// plain handles a line that does not come from go test.
func (x *run) plain(line string) {
	switch trimmed := strings.TrimSpace(line); {
	case strings.HasPrefix(trimmed, notTested):
		x.skips[trimmed] = append(x.skips[trimmed], test{})
	case strings.HasPrefix(trimmed, "FAIL"):
		x.failed = true
		fallthrough
	default:
		x.print("%s", line)
	}
}

// summary prints the skipped tests. summary begins with those that lack
// something on this machine.
func (x *run) summary() {
	reasons := slices.SortedFunc(maps.Keys(x.skips), func(a, b string) int {
		la, lb := strings.HasPrefix(a, notTested), strings.HasPrefix(b, notTested)
		if la != lb {
			if la {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	if len(reasons) == 0 {
		x.print("\n%d tests, none was skipped.\n", x.started)
		return
	}
	total, lacks := 0, false
	for _, tests := range x.skips {
		total += len(tests)
	}
	x.print("\n%d tests, of which %d were skipped:\n", x.started, total)
	for _, reason := range reasons {
		tests := x.skips[reason]
		x.print("  %d × %s", len(tests), reason)
		if first := tests[0]; first.name != "" {
			x.print(" (%s %s", first.pkg, first.name)
			if len(tests) > 1 {
				x.print(" and others")
			}
			x.print(")")
		}
		x.print("\n")
		lacks = lacks || strings.HasPrefix(reason, notTested)
	}
	if x.strict && lacks {
		x.failed = true
		x.print("FAIL: LATCHKEY_REQUIRE_SERVERS is 1, so a test must not be skipped for what the machine lacks\n")
	}
}

func (x *run) print(format string, args ...any) {
	_, _ = fmt.Fprintf(x.w, format, args...) // report returns the writer's error
}

func (x *run) text(at test) string {
	if b := x.output[at]; b != nil {
		return b.String()
	}
	return ""
}

// reasonPrefix matches the place in the source that go test puts in front of a
// reason.
var reasonPrefix = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// reasonOf finds the reason of a skip in the test's output.
func reasonOf(output *strings.Builder) string {
	reason := "no reason given"
	if output == nil {
		return reason
	}
	for line := range strings.Lines(output.String()) {
		if place := reasonPrefix.FindString(line); place != "" {
			reason = strings.TrimSpace(line[len(place):])
		}
	}
	return reason
}

func lastLine(s string) string {
	s = strings.TrimSuffix(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:] + "\n"
}
