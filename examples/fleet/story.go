package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/latchkey-go/latchkey/examples/internal/child"
	"github.com/latchkey-go/latchkey/examples/internal/httpserver"
	"github.com/latchkey-go/latchkey/examples/internal/live"
	"github.com/latchkey-go/latchkey/examples/internal/redisserver"
)

const (
	surveys = 8
	each    = 30 // number of questions in a survey
	total   = surveys * each
)

// errLate ends the example if it takes too long. The example normally takes
// half a minute.
var errLate = errors.New("the example has not ended within eight minutes")

// story is the program that starts, kills and checks the fleet.
type story struct {
	*live.Story
	server  *child.Server
	outside *outside
	fail    func(error)
	members []*child.Process
}

// tell starts all processes, runs the example, and stops the processes.
func tell(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if err := redisserver.Find(); err != nil {
		return err
	}
	directory, err := os.MkdirTemp("", "latchkey-fleet-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	server, err := child.Serve(ctx, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()

	ctx, cancel := context.WithTimeoutCause(ctx, 8*time.Minute, errLate)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s := &story{Story: live.New(stdout), server: server, fail: fail}
	defer s.stop()

	s.outside = &outside{ctx: ctx, asked: make(map[int]question)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	asked := httpserver.New(s.outside)
	var asking sync.WaitGroup
	asking.Go(func() { _ = asked.Serve(l) }) // Close ends Serve
	defer asking.Wait()
	defer s.outside.end()
	defer fail(nil)
	defer func() { _ = asked.Close() }()

	if err := s.run(ctx, directory, "http://"+l.Addr().String()); err != nil {
		s.Settle()
		return err
	}
	return nil
}

// stop ends all processes, with the Redis last.
func (s *story) stop() {
	for i := len(s.members) - 1; i >= 0; i-- {
		s.members[i].Stop()
	}
}

// spawn starts a process, and returns it with the line that it prints when it is
// ready.
func (s *story) spawn(ctx context.Context, name string, args ...string) (p *child.Process, said string, err error) {
	lines := make(chan string, 1)
	p, err = child.Start(child.Options{
		Name: name, Args: args, Server: s.server, Ended: s.fail,
		Heard: func(line string) { lines <- line },
	})
	if err != nil {
		return nil, "", err
	}
	s.members = append(s.members, p)
	select {
	case said = <-lines:
		return p, said, nil
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	}
}

func (s *story) run(ctx context.Context, directory, outside string) error {
	queue := "latchkey-fleet-" + rand.Text() // no other worker takes part
	_, store, err := s.spawn(ctx, "Redis", "redis", directory)
	if err != nil {
		return err
	}
	store += "?prefix=" + queue + ":"
	callbacks, door, err := s.spawn(ctx, "first callback process", "callbacks", store)
	if err != nil {
		return err
	}
	_, other, err := s.spawn(ctx, "second callback process", "callbacks", store)
	if err != nil {
		return err
	}
	s.outside.doors = []string{door, other}
	worker, _, err := s.spawn(ctx, "first worker", "worker", store, outside, queue)
	if err != nil {
		return err
	}
	if _, _, err := s.spawn(ctx, "second worker", "worker", store, outside, queue); err != nil {
		return err
	}

	s.Say("Two workers and two processes that accept answers share a Redis.")
	s.Say("%d activities ask the survey system, which answers each within %v. Their heartbeat timeout is %v.", total, longestWait, heartbeatTimeout)
	var runs []client.WorkflowRun
	for n := range surveys {
		run, err := s.server.Client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, Survey, n*each, each)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}

	if err := s.until(ctx, "a third of the questions are asked", func(c counts) bool { return c.asked >= total/3 }); err != nil {
		return err
	}
	s.Say("One worker is killed with SIGKILL while it asks.")
	worker.Kill()
	if err := s.until(ctx, "a third of the questions are answered", func(c counts) bool { return c.taken >= total/3 }); err != nil {
		return err
	}
	s.Say("One of the processes that accept answers is killed too. Its answers are sent to the other.")
	callbacks.Kill()
	if err := s.until(ctx, "all is answered", func(c counts) bool { return c.taken == total && c.rivals == total/rivalEvery }); err != nil {
		return err
	}
	s.Settle()

	var read []reading
	for n, run := range runs {
		answers, err := s.read(ctx, run, n*each)
		if err != nil {
			return err
		}
		read = append(read, answers...)
	}
	lines, err := account(s.outside.books(), read)
	s.Say("\n%s", strings.Join(lines, "\n"))
	if err != nil {
		return err
	}
	s.Say("Nothing is lost.")
	return nil
}

// counts are the numbers of questions in each state.
type counts struct{ asked, taken, rivals int }

// until shows the progress until a condition holds.
func (s *story) until(ctx context.Context, what string, come func(counts) bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var c counts
		for _, q := range s.outside.books() {
			c.asked++
			if q.taken {
				c.taken++
			}
			if q.refused {
				c.rivals++
			}
			if q.wrong != "" {
				return errors.New("a wrong response to a question: " + q.wrong)
			}
		}
		s.Progress(fmt.Sprintf("  %3d asked   %3d answered   %3d wait", c.asked, c.taken, c.asked-c.taken))
		if come(c) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w while waiting until %s", context.Cause(ctx), what)
		}
	}
}
