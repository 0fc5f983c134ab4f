// Command benchreport reads the output of one or several runs of "go test -bench"
// on its standard input, and prints the table of docs/performance.md.
//
// Lines that are not results go to the standard error. The exit code is 1 if a
// run failed. A missed goal is marked and is not a failure, because a machine
// may be busy.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

func main() {
	failed, err := report(os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchreport:", err)
	}
	if failed || err != nil {
		os.Exit(1)
	}
}

// figure describes a benchmark's row of the table.
type figure struct {
	benchmark string  // without the store
	title     string  // describes the metric
	metric    string  // of the benchmark
	format    string  // of its value
	goal      float64 // 0: none
	most      bool    // the goal is the largest allowed value, and not the smallest
	rate      string  // what rate/s counts; "" if it is not shown
}

var figures = []figure{
	{benchmark: "Accept", title: "answers accepted, compared with a bare read and write", metric: "x-bare", format: "%.2f", goal: 0.8, rate: "answers/s"},
	{benchmark: "Handler", title: "answers over HTTP, compared with a bare handler", metric: "x-bare", format: "%.2f", goal: 0.8, rate: "answers/s"},
	{benchmark: "Handler", title: "an answer over HTTP, median", metric: "p50-ms", format: "%.1f ms"},
	{benchmark: "Handler", title: "the bare handler, median", metric: "bare-p50-ms", format: "%.1f ms"},
	{benchmark: "Handler", title: "an answer over HTTP, 99th percentile", metric: "p99-ms", format: "%.1f ms"},
	{benchmark: "Handler", title: "the bare handler, 99th percentile", metric: "bare-p99-ms", format: "%.1f ms"},
	{benchmark: "Away", title: "an answer while Temporal is away, 99th percentile compared with a hub that only accepts", metric: "x-settle", format: "%.2f", goal: 2, most: true},
	{benchmark: "Deliver", title: "answers in their workflows, compared with the bare SDK", metric: "x-arrived", format: "%.3f", goal: 0.97, rate: "answers/s"},
	{benchmark: "Deliver", title: "the same, compared with the SDK with a bare read and write", metric: "x-floor", format: "%.3f", goal: 0.97},
	{benchmark: "Backlog", title: "a backlog of 100,000, compared with 64 bare callers", metric: "x-bare", format: "%.2f", goal: 0.9, rate: "answers/s"},
	{benchmark: "Beat", title: "heartbeats, compared with the bare SDK, which writes nothing", metric: "x-sdk", format: "%.2f", rate: "heartbeats/s"},
	{benchmark: "Beat", title: "the same, compared with the SDK with a bare read and write", metric: "x-floor", format: "%.2f", goal: 0.95},
	{benchmark: "Size", title: "a waiting entry", metric: "B/waiting", format: "%.0f B"},
	{benchmark: "Size", title: "of that over its body", metric: "B/over", format: "%.0f B", goal: 200, most: true},
	{benchmark: "Size", title: "a delivered entry", metric: "B/delivered", format: "%.0f B"},
	{benchmark: "Waiting", title: "memory over the body, of a million waiting entries", metric: "B/entry", format: "%.0f B", goal: 200, most: true},
	{benchmark: "Waiting", title: "goroutines of a hub with a million waiting entries", metric: "goroutines", format: "%.0f"},
	{benchmark: "Start", title: "`Start`, without Temporal", metric: "ns/op", format: "%.0f ns"},
	{benchmark: "Start", title: "allocations of `Start`", metric: "allocs/op", format: "%.0f"},
	{benchmark: "Complete", title: "`Start` and `Complete`, without Temporal", metric: "ns/op", format: "%.0f ns"},
	{benchmark: "Complete", title: "allocations of `Start` and `Complete`", metric: "allocs/op", format: "%.0f"},
}

// result is the output of a benchmark.
type result struct {
	benchmark, store string
	metrics          map[string]float64
}

func report(in io.Reader, out, rest io.Writer) (failed bool, err error) {
	var results []result
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if r, ok := parse(line); ok {
			results = append(results, r)
			continue
		}
		failed = failed || strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "--- FAIL")
		if _, err := fmt.Fprintln(rest, line); err != nil {
			return true, err
		}
	}
	if err := lines.Err(); err != nil {
		return true, err
	}
	return failed, table(out, results)
}

// parse reads a line such as "BenchmarkAccept/bolt-2  1  0.93 x-bare".
func parse(line string) (r result, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(line, "Benchmark") {
		return r, false
	}
	name := strings.TrimPrefix(fields[0], "Benchmark")
	if i := strings.LastIndexByte(name, '-'); i > 0 { // the number of processors
		name = name[:i]
	}
	r.benchmark, r.store, _ = strings.Cut(name, "/")
	r.metrics = make(map[string]float64)
	for pair := range slices.Chunk(fields[2:], 2) {
		value, err := strconv.ParseFloat(pair[0], 64)
		if err != nil {
			return r, false
		}
		r.metrics[pair[1]] = value
	}
	return r, true
}

func table(w io.Writer, results []result) error {
	lines := []string{"| figure | store | value | 90 % interval | goal | rate |", "|---|---|---|---|---|---|"}
	for _, f := range figures {
		for _, r := range results {
			if value, ok := r.metrics[f.metric]; ok && r.benchmark == f.benchmark {
				lines = append(lines, f.row(r, value))
			}
		}
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func (f figure) row(r result, value float64) string {
	interval, goal, rate := "", "", ""
	if low, ok := r.metrics[f.metric+"-low"]; ok {
		interval = fmt.Sprintf(f.format+" to "+f.format, low, r.metrics[f.metric+"-high"])
	}
	if f.goal != 0 {
		sign, met := "≥", value >= f.goal
		if f.most {
			sign, met = "≤", value <= f.goal
		}
		goal = fmt.Sprintf("%s %g", sign, f.goal)
		if !met {
			goal += ", missed"
		}
	}
	if perSecond, ok := r.metrics["rate/s"]; ok && f.rate != "" {
		rate = fmt.Sprintf("%.0f %s", perSecond, f.rate)
	}
	return fmt.Sprintf("| %s | %s | "+f.format+" | %s | %s | %s |", f.title, r.store, value, interval, goal, rate)
}
