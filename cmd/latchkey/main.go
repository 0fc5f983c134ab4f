// Command latchkey is the command line of a board: see package web/board. The
// program lists and shows entries, and acts on them, over HTTP(S).
//
// Run "latchkey help" for usage. Exit codes:
//
//	0  done
//	1  unavailable: the board or its store did not answer, or the outcome is unknown; repeat it
//	2  wrong use, or a configuration that can't be used
//	3  not signed in, or not allowed
//	4  no such entry
//	5  refused: the entry's state or the given value does not allow it; a repeat is refused again
//
// If an action fails for some of several entries, the exit code belongs to the
// first failure.
package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], world{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv, terminal: isTerminal(os.Stdout)}))
}

// world is the environment of a process.
type world struct {
	in       io.Reader
	out, err io.Writer
	env      func(name string) (string, bool)
	terminal bool // whether out is a terminal

	transport http.RoundTripper // nil: http.DefaultTransport
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
