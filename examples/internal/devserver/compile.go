package devserver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"
)

// buildFlags are the flags of every go command in this package. The flags are
// the defaults, but without the race detector and the debugger's tables. The
// build cache of other builds can therefore be used.
var buildFlags = []string{"-race=false", "-buildvcs=false", "-ldflags=-s -w"}

// progressInterval is the time between two lines about a build.
const progressInterval = 10 * time.Second

// compile builds a program and logs its progress.
func compile(ctx context.Context, root, pkg, output string, log io.Writer) error {
	began := time.Now()
	total, err := stale(ctx, root, pkg)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(log, "devserver: building a Temporal server: %d packages to compile; with an empty build cache this takes several minutes\n", total)

	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-v", "-o", output}, buildFlags...), pkg)...)
	cmd.Dir = root
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var compiled atomic.Int64
	finished := make(chan struct{})
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		report(log, &compiled, total, began, finished)
	}()
	var other bytes.Buffer // output that is not the name of a package
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if isPackage(lines.Text()) {
			compiled.Add(1)
		} else {
			other.WriteString(lines.Text() + "\n")
		}
	}
	_, _ = io.Copy(io.Discard, stderr) // drops the rest after a line that is too long
	err = cmd.Wait()
	close(finished)
	<-reported
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, other.Bytes())
	}
	_, _ = fmt.Fprintf(log, "devserver: built the Temporal server in %v\n", time.Since(began).Round(time.Second))
	return nil
}

// stale counts the packages that a build would compile. The go command prints
// the name of a package when it begins to compile it.
func stale(ctx context.Context, root, pkg string) (int, error) {
	args := append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}, buildFlags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	return len(strings.Fields(string(out))), nil
}

// isPackage reports whether a line is the name of a package. Other lines are
// messages of the compiler or the go command.
func isPackage(line string) bool {
	return line != "" && !strings.HasPrefix(line, "#") && !strings.ContainsAny(line, " \t:")
}

// report writes a progress line from time to time until the build has finished.
func report(log io.Writer, compiled *atomic.Int64, total int, began time.Time, finished <-chan struct{}) {
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return
		case <-tick.C:
			n := min(int(compiled.Load()), total)
			_, _ = fmt.Fprintf(log, "devserver: %d of %d packages, %v elapsed\n", n, total, time.Since(began).Round(time.Second))
		}
	}
}
