package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	const in = `goos: linux
BenchmarkAccept/bolt-2         	       1	      8979 rate/s	         0.7922 x-bare	         0.8926 x-bare-high	         0.7393 x-bare-low
BenchmarkSize/redis-2          	 7	       580.2 B/waiting
BenchmarkUnknown-2             	 7	       1 ns/op
PASS
`
	const want = `| figure | store | value | 90 % interval | goal | rate |
|---|---|---|---|---|---|
| answers accepted, compared with a bare read and write | bolt | 0.79 | 0.74 to 0.89 | ≥ 0.8, missed | 8979 answers/s |
| a waiting entry | redis | 580 B |  |  |  |
`
	var out, rest strings.Builder
	failed, err := report(strings.NewReader(in), &out, &rest)
	if failed || err != nil || out.String() != want {
		t.Errorf("failed %v, %v, and printed\n%s\nwant\n%s", failed, err, out.String(), want)
	}
	if rest.String() != "goos: linux\nPASS\n" {
		t.Errorf("the other lines are %q", rest.String())
	}
}

func TestReportOfAFailure(t *testing.T) {
	for _, line := range []string{"FAIL\tgithub.com/latchkey-go/latchkey/async 1 s", "--- FAIL: BenchmarkAccept/redis", "FAIL: go test"} {
		var out, rest strings.Builder
		if failed, err := report(strings.NewReader(line+"\n"), &out, &rest); !failed || err != nil {
			t.Errorf("after %q: failed %v, %v", line, failed, err)
		}
	}
}
