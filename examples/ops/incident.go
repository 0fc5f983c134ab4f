package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/examples/internal/live"
)

// incident plays three faults. incident reads the board and repairs each fault
// with the command line, as an operator does.
func (f *fleet) incident(ctx context.Context, story *live.Story) error {
	program := filepath.Join(f.directory, "latchkey")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/latchkey-go/latchkey/cmd/latchkey").CombinedOutput(); err != nil {
		return fmt.Errorf("build the command line: %w\n%s", err, out)
	}
	o := operator{program, f, story}

	if err := o.until(ctx, 0, "settled", "-type", "Approve"); err != nil { // the first answers are delivered
		return err
	}
	story.Say("\nTemporal is stopped. Answers are still accepted.")
	if err := f.server.Stop(); err != nil {
		return err
	}
	approvals := f.asked("Approve")
	if err := f.answer(ctx, approvals[:20]); err != nil {
		return err
	}
	if err := o.show(ctx, "list", "settled", "-type", "Approve", "-limit", "3"); err != nil {
		return err
	}
	if n, err := o.count(ctx, "settled", "-type", "Approve"); err != nil || n != 20 {
		return fmt.Errorf("the board has %d answers that Temporal does not have, want 20: %w", n, err)
	}
	story.Say("Temporal runs again. The hub delivers the accepted answers.")
	if err := f.server.Restart(ctx); err != nil {
		return err
	}
	if err := o.until(ctx, 0, "settled", "-type", "Approve"); err != nil {
		return err
	}

	story.Say("\nPayments are answered, but the hub has no client for their namespace.")
	payments := f.asked("Capture")
	if err := f.answer(ctx, payments); err != nil {
		return err
	}
	if err := o.atLeast(ctx, 1, "attention", "-class", "refused"); err != nil {
		return err
	}
	if err := o.show(ctx, "list", "-class", "refused", "-limit", "3"); err != nil {
		return err
	}
	story.Say("Jobs wait with a pump that the hub does not know. After a minute, the board shows them as late.")
	if err := o.atLeast(ctx, 1, "attention", "-class", "late", "-type", "RunJob"); err != nil {
		return err
	}
	late, err := o.run(ctx, nil, "list", "attention", "-q", "-class", "late", "-type", "RunJob", "-limit", "1")
	if err != nil {
		return err
	}
	if err := o.show(ctx, "show", strings.TrimSpace(string(late))); err != nil {
		return err
	}
	if err := o.show(ctx, "stats"); err != nil {
		return err
	}
	if err := o.metric(ctx, "latchkey_entries{", `activity_type="RunJob"`, `class="unknown pump"`); err != nil {
		return err
	}

	story.Say("\nThe hub is replaced by one with the client and the pump. The operator retries the payments.")
	if err := f.runHub(true); err != nil {
		return err
	}
	ids, err := o.run(ctx, nil, "list", "settled", "-all", "-q")
	if err != nil {
		return err
	}
	if len(bytes.Fields(ids)) > 0 {
		if _, err := o.run(ctx, ids, "retry", "-", "-why", "the hub has a client for the namespace now"); err != nil {
			return err
		}
	}
	if err := o.until(ctx, 0, "settled"); err != nil {
		return err
	}

	story.Say("\nA person answers by telephone. The operator completes the activity.")
	ids, err = o.run(ctx, nil, "list", "waiting", "-q", "-type", "Approve", "-limit", "1")
	if err != nil {
		return err
	}
	id := strings.TrimSpace(string(ids))
	if _, err := o.run(ctx, []byte(`{"aproved": true}`), "complete", id, "-f", "-", "-why", "by telephone"); exitCode(err) != 5 {
		return fmt.Errorf("a misspelt answer: %w, want exit code 5", err)
	}
	if _, err := o.run(ctx, []byte(`{"approved": true}`), "complete", id, "-f", "-", "-why", "by telephone"); err != nil {
		return err
	}
	if err := o.show(ctx, "show", id); err != nil {
		return err
	}
	if err := o.until(ctx, 0, "attention"); err != nil {
		return err
	}
	if out, err := o.run(ctx, nil, "stats"); err != nil || strings.Contains(string(out), "unknown pump") {
		return fmt.Errorf("the pump is still missing: %w\n%s", err, out)
	}
	if err := o.show(ctx, "stats"); err != nil {
		return err
	}
	story.Say("\nAll as expected: nothing needs attention.")
	return nil
}

// operator runs the command line.
type operator struct {
	program string
	fleet   *fleet
	story   *live.Story
}

// run runs the command line and returns its output.
func (o operator) run(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, o.program, args...)
	cmd.Env = append(os.Environ(), "LATCHKEY_URL="+o.fleet.board, "LATCHKEY_TOKEN="+o.fleet.token, "LATCHKEY_CONFIG="+os.DevNull)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("latchkey %s: %w: %s", args[0], err, stderr.Bytes())
	}
	return out, nil
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// show prints a command and its output.
func (o operator) show(ctx context.Context, args ...string) error {
	out, err := o.run(ctx, nil, args...)
	if err != nil {
		return err
	}
	o.story.Say("$ latchkey %s\n  %s", strings.Join(args, " "), strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "\n  "))
	return nil
}

// metric waits until the metrics page has a line with these texts, and prints
// the line.
func (o operator) metric(ctx context.Context, texts ...string) error {
	address := o.fleet.address + "/metrics"
	for {
		page, err := read(ctx, address)
		if err != nil {
			return err
		}
		for line := range strings.Lines(page) {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
				o.story.Say("$ curl %s\n  %s", address, strings.TrimSpace(line))
				return nil
			}
		}
		o.story.Progress("the metrics have no line with " + strings.Join(texts, " and "))
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// read returns the page at an address.
func read(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, response.Status)
	}
	return string(page), err
}

// count returns the number of entries in a list.
func (o operator) count(ctx context.Context, list ...string) (int, error) {
	out, err := o.run(ctx, nil, append([]string{"list", "-all", "-q"}, list...)...)
	return len(bytes.Fields(out)), err
}

// until waits until a list has a number of entries.
func (o operator) until(ctx context.Context, want int, list ...string) error {
	return o.wait(ctx, func(n int) bool { return n == want }, list)
}

func (o operator) atLeast(ctx context.Context, want int, list ...string) error {
	return o.wait(ctx, func(n int) bool { return n >= want }, list)
}

func (o operator) wait(ctx context.Context, enough func(int) bool, list []string) error {
	for {
		n, err := o.count(ctx, list...)
		if err != nil {
			return err
		}
		if enough(n) {
			return nil
		}
		o.story.Progress(fmt.Sprintf("%d entries in the list %s", n, strings.Join(list, " ")))
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}
